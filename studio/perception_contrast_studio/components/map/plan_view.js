// The map from above: ground, footprints of things, answers, the pose to approach one. Drag and zoom.
const STATUS = { confirmed: "#0072b2", unconfirmed: "#e69f00", gone: "#888888" };
const FOUND = "#cc79a7", SELECTED = "#d55e00", RAY = "#e69f00", APPROACH = "#009e73";
const CLICK_PIXELS = 5;

export default {
  template: `
    <div class="plan-view" role="group" aria-label="Plan of the map from above">
      <canvas ref="canvas" tabindex="0" :aria-label="description"></canvas>
    </div>`,
  props: {
    ground: Object, things: Array, rays: Array, approach: Object, place: Array, focus: Object,
    names: Boolean, description: String,
  },
  mounted() {
    // Metres in the middle of the canvas, and pixels per metre.
    this.middle = [0, 0];
    this.scale = 60;
    const canvas = this.$refs.canvas;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.$el);
    this.dark = new MutationObserver(() => this.request());
    this.dark.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    canvas.addEventListener("pointerdown", this.onDown);
    canvas.addEventListener("pointermove", this.onMove);
    canvas.addEventListener("pointerup", this.onUp);
    canvas.addEventListener("wheel", this.onWheel, { passive: false });
    canvas.addEventListener("keydown", this.onKey);
    this.pointers = new Map();
    this.resize();
    this.load();
  },
  beforeUnmount() {
    this.ended = true;
    this.observer.disconnect();
    this.dark.disconnect();
  },
  watch: {
    ground() { this.load(); },
    things() { this.request(); },
    rays() { this.request(); },
    approach() { this.request(); },
    place() { this.request(); },
    names() { this.request(); },
    focus(given, before) {
      if (!given || given.turn === before?.turn) return;
      this.middle = given.center.slice(0, 2);
      this.request();
    },
  },
  methods: {
    resize() {
      const { clientWidth: width, clientHeight: height } = this.$el, ratio = window.devicePixelRatio || 1;
      if (!width || !height) return;
      const hidden = !this.size;
      this.size = [width, height];
      Object.assign(this.$refs.canvas, { width: width * ratio, height: height * ratio });
      // A tab that was hidden had no size to fit into.
      if (hidden) this.view("fit");
      this.request();
    },
    request() {
      if (this.pending || this.ended) return;
      this.pending = requestAnimationFrame(() => { this.pending = 0; if (!this.ended) this.draw(); });
    },
    async load() {
      const given = this.ground;
      if (!given) { this.cells = this.loadedUrl = null; this.request(); return; }
      // Any change of a property brings all of them anew.
      if (given.url === this.loadedUrl) return;
      this.loadedUrl = given.url;
      const response = await fetch(given.url);
      if (!response.ok || this.ended || given.url !== this.ground?.url) return;
      const first = !this.cells;
      this.cells = new Int8Array(await response.arrayBuffer());
      this.shown = given;
      this.painted = null;
      if (first) this.view("fit");
      this.request();
    },
    paintGround(dark) {
      if (this.painted === dark) return;
      const { rows, columns } = this.shown;
      const image = new ImageData(columns, rows);
      const free = dark ? [58, 70, 80] : [255, 255, 255], taken = dark ? [190, 200, 210] : [60, 70, 80];
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const cell = this.cells[row * columns + column];
          if (cell < 0) continue;
          // Rows follow y, which points up on the screen.
          const at = 4 * ((rows - 1 - row) * columns + column), shade = cell > 50 ? taken : free;
          image.data.set([...shade, 255], at);
        }
      }
      this.bitmap = document.createElement("canvas");
      Object.assign(this.bitmap, { width: columns, height: rows });
      this.bitmap.getContext("2d").putImageData(image, 0, 0);
      this.painted = dark;
    },
    pixel(x, y) {
      const [width, height] = this.size;
      return [width / 2 + (x - this.middle[0]) * this.scale, height / 2 - (y - this.middle[1]) * this.scale];
    },
    metres(px, py) {
      const [width, height] = this.size;
      return [this.middle[0] + (px - width / 2) / this.scale, this.middle[1] - (py - height / 2) / this.scale];
    },
    draw() {
      if (!this.size) return;
      const dark = document.body.classList.contains("body--dark"), ratio = window.devicePixelRatio || 1;
      const pen = this.$refs.canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, ...this.size);
      if (this.cells && this.shown.rows) {
        this.paintGround(dark);
        const { rows, columns, resolution, origin } = this.shown;
        const [left, top] = this.pixel(origin[0], origin[1] + rows * resolution);
        pen.imageSmoothingEnabled = false;
        pen.drawImage(
          this.bitmap, left, top, columns * resolution * this.scale, rows * resolution * this.scale);
      }
      this.drawScale(pen, dark);
      for (const one of this.things || []) this.drawThing(pen, one, dark);
      for (const [x, y, , dx, dy] of this.rays || []) this.arrow(pen, [x, y], [x + 2.5 * dx, y + 2.5 * dy], RAY);
      if (this.approach) this.drawApproach(pen);
      if (this.place) this.dot(pen, this.place, SELECTED);
    },
    drawThing(pen, one, dark) {
      const shade = one.selected ? SELECTED : one.found ? FOUND : STATUS[one.status] || FOUND;
      const [x, y] = one.center, cos = Math.cos(one.yaw), sin = Math.sin(one.yaw);
      const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([u, v]) => {
        const a = (u * one.size[0]) / 2, b = (v * one.size[1]) / 2;
        return this.pixel(x + a * cos - b * sin, y + a * sin + b * cos);
      });
      pen.beginPath();
      corners.forEach(([px, py], i) => (i ? pen.lineTo(px, py) : pen.moveTo(px, py)));
      pen.closePath();
      pen.globalAlpha = one.selected || one.found ? 0.45 : 0.15;
      pen.fillStyle = shade;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = one.selected ? 3 : 1.5;
      pen.strokeStyle = shade;
      pen.setLineDash(one.status === "confirmed" ? [] : [4, 3]);
      pen.stroke();
      pen.setLineDash([]);
      if (this.names || one.selected || one.found) {
        const [px, py] = this.pixel(x, y);
        pen.font = `${one.selected ? "600 " : ""}12px system-ui, sans-serif`;
        pen.textAlign = "center";
        pen.lineWidth = 3;
        pen.strokeStyle = dark ? "#10161b" : "#ffffff";
        pen.fillStyle = dark ? "#ffffff" : "#14202a";
        pen.strokeText(one.name, px, py + 4);
        pen.fillText(one.name, px, py + 4);
      }
    },
    drawApproach(pen) {
      const { x, y, yaw } = this.approach, [px, py] = this.pixel(x, y);
      pen.beginPath();
      pen.arc(px, py, Math.max(6, 0.22 * this.scale), 0, 2 * Math.PI);
      pen.lineWidth = 2;
      pen.strokeStyle = APPROACH;
      pen.stroke();
      this.arrow(pen, [x, y], [x + 0.5 * Math.cos(yaw), y + 0.5 * Math.sin(yaw)], APPROACH);
    },
    arrow(pen, from, to, shade) {
      const [ax, ay] = this.pixel(...from), [bx, by] = this.pixel(...to);
      const angle = Math.atan2(by - ay, bx - ax);
      pen.beginPath();
      pen.moveTo(ax, ay);
      pen.lineTo(bx, by);
      for (const turn of [-0.45, 0.45]) {
        pen.moveTo(bx, by);
        pen.lineTo(bx - 12 * Math.cos(angle + turn), by - 12 * Math.sin(angle + turn));
      }
      pen.lineWidth = 3;
      pen.strokeStyle = shade;
      pen.stroke();
    },
    dot(pen, [x, y], shade) {
      const [px, py] = this.pixel(x, y);
      pen.beginPath();
      pen.arc(px, py, 6, 0, 2 * Math.PI);
      pen.fillStyle = shade;
      pen.fill();
      pen.lineWidth = 2;
      pen.strokeStyle = "#ffffff";
      pen.stroke();
    },
    drawScale(pen, dark) {
      const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
      const length = steps.find((one) => one * this.scale >= 60) || 100, [, height] = this.size;
      pen.strokeStyle = pen.fillStyle = dark ? "#dfe7ee" : "#33404a";
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(12, height - 14);
      pen.lineTo(12 + length * this.scale, height - 14);
      pen.stroke();
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "left";
      pen.fillText(`${length} m`, 12, height - 20);
    },
    view() {
      if (!this.size) return;
      let box = null;
      const add = (x, y) => {
        box = box
          ? [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)]
          : [x, y, x, y];
      };
      if (this.cells && this.shown) {
        const { rows, columns, resolution, origin } = this.shown;
        for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) {
          if (this.cells[row * columns + column] >= 0) {
            add(origin[0] + column * resolution, origin[1] + row * resolution);
          }
        }
      }
      for (const one of this.things || []) {
        add(one.center[0] - one.size[0], one.center[1] - one.size[1]);
        add(one.center[0] + one.size[0], one.center[1] + one.size[1]);
      }
      if (!box) return;
      this.middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
      const wide = Math.max(box[2] - box[0], 0.5), high = Math.max(box[3] - box[1], 0.5);
      this.scale = 0.9 * Math.min(this.size[0] / wide, this.size[1] / high);
      this.request();
    },
    zoom(factor, px = this.size[0] / 2, py = this.size[1] / 2) {
      const [x, y] = this.metres(px, py);
      this.scale = Math.min(Math.max(this.scale * factor, 4), 2000);
      const [nx, ny] = this.metres(px, py);
      this.middle = [this.middle[0] + x - nx, this.middle[1] + y - ny];
      this.request();
    },
    local(event) {
      const rect = this.$refs.canvas.getBoundingClientRect();
      return [event.clientX - rect.left, event.clientY - rect.top];
    },
    onDown(event) {
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.local(event));
      this.moved = this.pointers.size > 1 ? Infinity : 0;
    },
    onMove(event) {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = this.local(event), dx = now[0] - before[0], dy = now[1] - before[1];
      if (this.pointers.size > 1) {
        const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
        this.zoom(apart(now) / apart(before), other[0], other[1]);
      } else {
        this.middle = [this.middle[0] - dx / this.scale, this.middle[1] + dy / this.scale];
        this.moved += Math.hypot(dx, dy);
        this.request();
      }
      this.pointers.set(event.pointerId, now);
    },
    onUp(event) {
      this.pointers.delete(event.pointerId);
      if (this.moved > CLICK_PIXELS) return;
      const [x, y] = this.metres(...this.local(event));
      const inside = (this.things || []).filter((one) => {
        const dx = x - one.center[0], dy = y - one.center[1], cos = Math.cos(one.yaw), sin = Math.sin(one.yaw);
        const reach = CLICK_PIXELS / this.scale;
        return Math.abs(dx * cos + dy * sin) <= one.size[0] / 2 + reach
          && Math.abs(dy * cos - dx * sin) <= one.size[1] / 2 + reach;
      });
      inside.sort((a, b) => a.size[0] * a.size[1] - b.size[0] * b.size[1]);
      const hit = event.shiftKey ? null : inside[0];
      this.$emit("pick", { key: hit ? hit.key : "", point: [x, y, hit ? hit.center[2] : 0] });
    },
    onWheel(event) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), ...this.local(event));
    },
    onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = 40 / this.scale;
      const moves = {
        ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
      };
      const zooms = { "+": 1.2, "=": 1.2, "-": 1 / 1.2 };
      if (moves[event.key]) {
        this.middle = this.middle.map((one, i) => one + moves[event.key][i]);
        this.request();
      } else if (zooms[event.key]) {
        this.zoom(zooms[event.key]);
      } else if (event.key === "a") {
        this.view();
      } else {
        return;
      }
      event.preventDefault();
    },
  },
};
