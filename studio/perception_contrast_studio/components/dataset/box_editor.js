// Boxes on an image: drawn, moved, resized and named by mouse, touch and keyboard. Edges lie between pixels.
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#f0e442", "#0072b2"];
const GRIP = 7; // CSS pixels around an edge or corner that take hold of it
const GRIP_TOUCH = 18;
const LEAST_DRAG = 3; // CSS pixels; less is a click
const MOST_UNDO = 100;

export default {
  template: `
    <div class="box-editor">
      <div class="box-editor-bar" role="toolbar" aria-label="Boxes">
        <label class="box-editor-label">{{ editable(selected) ? 'label of box ' + (selected + 1) : 'label of the next box' }}
          <input ref="label" v-model="label" list="box-editor-labels" maxlength="80" :disabled="readonly"
            placeholder="such as mug" @keydown.enter.prevent="applyLabel" @change="applyLabel" />
        </label>
        <datalist id="box-editor-labels"><option v-for="one in labels" :value="one"></option></datalist>
        <button type="button" @click="undo" :disabled="!past.length" title="Undo (Ctrl+Z)">Undo</button>
        <button type="button" @click="redo" :disabled="!future.length" title="Redo (Ctrl+Y)">Redo</button>
        <button type="button" @click="remove" :disabled="!editable(selected)" title="Delete">Delete</button>
        <button type="button" @click="zoomBy(1.5)" aria-label="Zoom in" title="Zoom in (+)">+</button>
        <button type="button" @click="zoomBy(1 / 1.5)" aria-label="Zoom out" title="Zoom out (-)">&minus;</button>
        <button type="button" @click="fit" title="Whole image (0)">Fit</button>
      </div>
      <div class="box-editor-keys">
        <button type="button" v-for="(one, i) in labels.slice(0, 9)" :key="one" @click="choose(one)"
          :aria-pressed="one === label" :style="{ borderColor: colour(one) }"><b>{{ i + 1 }}</b> {{ one }}</button>
      </div>
      <canvas ref="canvas" tabindex="0" role="application" :aria-label="about" class="box-editor-canvas"
        @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up" @wheel="wheel"
        @keydown="key" @contextmenu.prevent></canvas>
      <div class="box-editor-status" role="status">{{ said }}</div>
      <ul class="box-editor-list" aria-label="Boxes of this frame">
        <li v-for="(box, i) in boxes" :key="i">
          <button type="button" @click="select(i)" :aria-pressed="i === selected"
            :style="{ borderLeftColor: colour(box.label) }">{{ box.label }}
            <small>{{ box.x }}, {{ box.y }}, {{ box.w }} &times; {{ box.h }}{{ box.locked ? ' (mask, not editable)' : '' }}</small>
          </button>
        </li>
      </ul>
    </div>`,
  props: { frame: Object, labels: { type: Array, default: () => [] }, readonly: Boolean },
  data() {
    return { boxes: [], selected: -1, label: "", past: [], future: [], said: "", scale: 1, ox: 0, oy: 0 };
  },
  computed: {
    about() {
      return `Image with ${this.boxes.length} boxes. Drag to draw. N adds a box, arrows move it, with Alt they ` +
        "resize it, comma and full stop select, Delete removes, 1 to 9 give a label, Page up and down change the frame.";
    },
  },
  created() {
    // Neither Vue nor its proxies need to see these.
    this.image = null;
    this.drag = null;
    this.pointers = new Map();
    this.pinch = null;
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.$refs.canvas);
    this.load(this.frame);
  },
  unmounted() {
    this.observer.disconnect();
  },
  watch: {
    frame(now, before) {
      if (!before || now.key !== before.key || now.revision !== before.revision) this.load(now);
    },
    label() { this.draw(); },
  },
  methods: {
    load(frame) {
      if (!frame || !frame.src) return;
      this.boxes = frame.boxes.map((box) => ({ ...box }));
      this.past = [];
      this.future = [];
      this.selected = -1;
      this.drag = null;
      if (!this.label && this.labels.length) this.label = this.labels[0];
      const image = new Image();
      image.onload = () => {
        if (this.frame.key !== frame.key) return;
        this.image = image;
        this.resize();
        this.fit();
      };
      image.onerror = () => { this.said = "This image cannot be shown."; };
      image.src = frame.src;
    },
    settle(key, saved) {
      // Only ids are new; whoever drew on in the meantime is not disturbed.
      if (key !== this.frame.key) return;
      const same = (a, b) => a.label === b.label && a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h;
      for (const box of this.boxes.filter((one) => !one.id)) {
        const found = saved.find((one) => same(one, box) && !this.boxes.some((other) => other.id === one.id));
        if (found) box.id = found.id;
      }
    },
    size() { return [this.frame.width, this.frame.height]; },
    colour(label) {
      const known = this.labels.indexOf(label);
      return COLOURS[(known < 0 ? this.labels.length : known) % COLOURS.length];
    },
    editable(index) { return !this.readonly && index >= 0 && index < this.boxes.length && !this.boxes[index].locked; },

    // View.
    resize() {
      const canvas = this.$refs.canvas, ratio = window.devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight];
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        if (this.image) this.fit();
      }
      this.draw();
    },
    fit() {
      const canvas = this.$refs.canvas, [w, h] = this.size();
      if (!w || !canvas.clientWidth) return;
      this.scale = Math.min(canvas.clientWidth / w, canvas.clientHeight / h);
      this.ox = (canvas.clientWidth - w * this.scale) / 2;
      this.oy = (canvas.clientHeight - h * this.scale) / 2;
      this.draw();
    },
    zoomBy(factor, at) {
      const canvas = this.$refs.canvas;
      const [x, y] = at || [canvas.clientWidth / 2, canvas.clientHeight / 2];
      const scale = Math.min(64, Math.max(0.02, this.scale * factor));
      this.ox = x - ((x - this.ox) * scale) / this.scale;
      this.oy = y - ((y - this.oy) * scale) / this.scale;
      this.scale = scale;
      this.draw();
    },
    wheel(event) {
      // Without focus the wheel scrolls the page.
      if (!event.ctrlKey && document.activeElement !== this.$refs.canvas) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), this.at(event));
    },
    at(event) {
      const area = this.$refs.canvas.getBoundingClientRect();
      return [event.clientX - area.left, event.clientY - area.top];
    },
    toImage([x, y]) { return [(x - this.ox) / this.scale, (y - this.oy) / this.scale]; },
    draw() {
      const canvas = this.$refs.canvas;
      if (!canvas) return;
      const context = canvas.getContext("2d"), ratio = window.devicePixelRatio || 1;
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
      if (!this.image) return;
      const [w, h] = this.size();
      context.imageSmoothingEnabled = this.scale < 3;
      context.drawImage(this.image, this.ox, this.oy, w * this.scale, h * this.scale);
      this.boxes.forEach((box, i) => this.drawBox(context, box, i === this.selected));
      if (this.drag && this.drag.kind === "new" && this.drag.box) this.drawBox(context, this.drag.box, true);
    },
    drawBox(context, box, chosen) {
      const [x, y] = [this.ox + box.x * this.scale, this.oy + box.y * this.scale];
      const [w, h] = [box.w * this.scale, box.h * this.scale];
      context.lineWidth = chosen ? 5 : 4;
      context.setLineDash(box.locked ? [6, 4] : []);
      context.strokeStyle = "rgba(0,0,0,.65)";
      context.strokeRect(x, y, w, h);
      context.lineWidth = chosen ? 3 : 2;
      context.strokeStyle = this.colour(box.label);
      context.strokeRect(x, y, w, h);
      context.setLineDash([]);
      context.font = "600 13px system-ui, sans-serif";
      const text = box.label || "?", width = context.measureText(text).width + 8;
      const top = y >= 18 ? y - 18 : y;
      context.fillStyle = "rgba(0,0,0,.75)";
      context.fillRect(x, top, width, 18);
      context.fillStyle = "#fff";
      context.fillText(text, x + 4, top + 13);
      if (chosen && !box.locked) {
        context.fillStyle = "#fff";
        for (const cx of [x, x + w]) for (const cy of [y, y + h]) {
          context.fillRect(cx - 4, cy - 4, 8, 8);
          context.strokeRect(cx - 4, cy - 4, 8, 8);
        }
      }
    },

    // Changes.
    remember() {
      this.past.push(JSON.stringify(this.boxes));
      if (this.past.length > MOST_UNDO) this.past.shift();
      this.future = [];
    },
    undo() { this.travel(this.past, this.future); },
    redo() { this.travel(this.future, this.past); },
    travel(from, to) {
      if (!from.length || this.readonly) return;
      to.push(JSON.stringify(this.boxes));
      this.boxes = JSON.parse(from.pop());
      this.selected = -1;
      this.changed();
    },
    changed() {
      this.draw();
      this.$emit("change", { key: this.frame.key, boxes: this.boxes.map((box) => ({ ...box })) });
    },
    select(index) {
      this.selected = index;
      if (index >= 0) {
        const box = this.boxes[index];
        this.label = box.label;
        this.said = `${box.label}: x ${box.x}, y ${box.y}, ${box.w} by ${box.h} pixels`;
      }
      this.$emit("select", { key: this.frame.key, index });
      this.draw();
    },
    choose(label) {
      this.label = label;
      this.applyLabel();
      this.$refs.canvas.focus();
    },
    applyLabel() {
      const label = this.label.trim().replace(/\s+/g, " ");
      this.label = label;
      if (label && this.editable(this.selected) && this.boxes[this.selected].label !== label) {
        this.remember();
        this.boxes[this.selected].label = label;
        this.changed();
      }
    },
    remove() {
      if (!this.editable(this.selected)) return;
      this.remember();
      this.boxes.splice(this.selected, 1);
      this.select(-1);
      this.changed();
    },
    add(box) {
      if (this.readonly) { this.$emit("refused"); return; }
      if (!this.label.trim()) {
        this.said = "Type a label first; then draw the box.";
        this.$refs.label.focus();
        return;
      }
      this.remember();
      this.boxes.push({ id: 0, label: this.label.trim(), locked: false, ...box });
      this.select(this.boxes.length - 1);
      this.changed();
    },
    between(x0, y0, x1, y1) {
      const [w, h] = this.size();
      const inside = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
      const [left, right] = [inside(Math.min(x0, x1), w), inside(Math.max(x0, x1), w)];
      const [top, bottom] = [inside(Math.min(y0, y1), h), inside(Math.max(y0, y1), h)];
      return { x: left, y: top, w: right - left, h: bottom - top };
    },
    put(index, box) {
      if (box.w < 1 || box.h < 1) return;
      Object.assign(this.boxes[index], box);
      this.said = `${this.boxes[index].label}: x ${box.x}, y ${box.y}, ${box.w} by ${box.h} pixels`;
    },

    // Mouse, pen and fingers.
    grabbed(x, y, touch) {
      const reach = (touch ? GRIP_TOUCH : GRIP) / this.scale;
      const order = [this.selected, ...this.boxes.keys()].filter((i) => i >= 0 && i < this.boxes.length);
      for (const i of order) {
        const box = this.boxes[i];
        const sides = {
          left: Math.abs(x - box.x) <= reach, right: Math.abs(x - box.x - box.w) <= reach,
          top: Math.abs(y - box.y) <= reach, bottom: Math.abs(y - box.y - box.h) <= reach,
        };
        const within = x >= box.x - reach && x <= box.x + box.w + reach && y >= box.y - reach && y <= box.y + box.h + reach;
        if (within && (sides.left || sides.right || sides.top || sides.bottom)) return { i, sides };
      }
      // Of boxes within each other the smallest is meant.
      const under = this.boxes.map((box, i) => ({ box, i }))
        .filter(({ box }) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h)
        .sort((a, b) => a.box.w * a.box.h - b.box.w * b.box.h);
      return under.length ? { i: under[0].i, sides: null } : null;
    },
    down(event) {
      const canvas = this.$refs.canvas;
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.at(event));
      if (this.pointers.size === 2) {
        this.drag = null;
        this.pinch = this.fingers();
        return;
      }
      const at = this.at(event), [x, y] = this.toImage(at);
      if (event.button === 1 || event.button === 2) {
        this.drag = { kind: "pan", at };
        return;
      }
      // With Shift a box is drawn inside another.
      const hit = event.shiftKey ? null : this.grabbed(x, y, event.pointerType === "touch");
      if (!hit) {
        this.select(-1);
        this.drag = { kind: "new", at, x, y, box: null };
        return;
      }
      this.select(hit.i);
      if (this.editable(hit.i)) {
        this.drag = { kind: hit.sides ? "resize" : "move", at, x, y, i: hit.i, sides: hit.sides, from: { ...this.boxes[hit.i] }, moved: false };
      }
    },
    move(event) {
      if (!this.pointers.has(event.pointerId)) return;
      this.pointers.set(event.pointerId, this.at(event));
      if (this.pinch && this.pointers.size === 2) {
        const now = this.fingers();
        this.ox += now.x - this.pinch.x;
        this.oy += now.y - this.pinch.y;
        this.zoomBy(now.apart / this.pinch.apart, [now.x, now.y]);
        this.pinch = now;
        return;
      }
      const drag = this.drag;
      if (!drag) return;
      const at = this.at(event), [x, y] = this.toImage(at);
      const far = Math.hypot(at[0] - drag.at[0], at[1] - drag.at[1]) >= LEAST_DRAG;
      if (drag.kind === "pan") {
        this.ox += at[0] - drag.at[0];
        this.oy += at[1] - drag.at[1];
        drag.at = at;
      } else if (drag.kind === "new") {
        drag.box = far || drag.box ? { label: this.label, locked: false, ...this.between(drag.x, drag.y, x, y) } : null;
      } else if (far || drag.moved) {
        if (!drag.moved) this.remember();
        drag.moved = true;
        this.put(drag.i, this.dragged(drag, x, y));
      }
      this.draw();
    },
    dragged(drag, x, y) {
      const from = drag.from, [w, h] = this.size();
      if (drag.kind === "move") {
        const left = Math.min(w - from.w, Math.max(0, Math.round(from.x + x - drag.x)));
        const top = Math.min(h - from.h, Math.max(0, Math.round(from.y + y - drag.y)));
        return { x: left, y: top, w: from.w, h: from.h };
      }
      const { left, right, top, bottom } = drag.sides;
      return this.between(
        left ? x : from.x, top ? y : from.y,
        right && !left ? x : from.x + from.w, bottom && !top ? y : from.y + from.h,
      );
    },
    up(event) {
      this.pointers.delete(event.pointerId);
      if (this.pinch) {
        if (!this.pointers.size) this.pinch = null;
        return;
      }
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      if (drag.kind === "new" && drag.box && drag.box.w >= 1 && drag.box.h >= 1) {
        this.add({ x: drag.box.x, y: drag.box.y, w: drag.box.w, h: drag.box.h });
      } else if (drag.moved) {
        this.changed();
      }
      this.draw();
    },
    fingers() {
      const [a, b] = [...this.pointers.values()];
      return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])) };
    },

    // Keyboard.
    key(event) {
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "z") (event.shiftKey ? this.redo : this.undo)();
      else if (command && event.key.toLowerCase() === "y") this.redo();
      else if (command) return;
      else if (event.key.startsWith("Arrow")) this.nudge(event);
      else if (!this.letter(event)) return;
      event.preventDefault();
    },
    letter(event) {
      const count = this.boxes.length, number = Number(event.key);
      if (number >= 1 && number <= 9) {
        if (this.labels[number - 1]) this.choose(this.labels[number - 1]);
      } else if (event.key === "Delete" || event.key === "Backspace") this.remove();
      else if (event.key === "Escape") this.select(-1);
      else if (event.key === ".") this.select(count ? (this.selected + 1) % count : -1);
      else if (event.key === ",") this.select(count ? (this.selected - 1 + count) % count : -1);
      else if (event.key.toLowerCase() === "n") this.addInTheMiddle();
      else if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
      else if (event.key === "-") this.zoomBy(1 / 1.5);
      else if (event.key === "0") this.fit();
      else if (event.key === "PageDown") this.$emit("step", 1);
      else if (event.key === "PageUp") this.$emit("step", -1);
      else return false;
      return true;
    },
    addInTheMiddle() {
      const canvas = this.$refs.canvas, [w, h] = this.size();
      const [x, y] = this.toImage([canvas.clientWidth / 2, canvas.clientHeight / 2]);
      const box = this.between(x - w / 8, y - h / 8, x + w / 8, y + h / 8);
      if (box.w && box.h) this.add(box);
    },
    nudge(event) {
      if (!this.editable(this.selected)) return;
      const step = event.shiftKey ? 10 : 1, box = this.boxes[this.selected];
      const dx = { ArrowLeft: -step, ArrowRight: step }[event.key] || 0;
      const dy = { ArrowUp: -step, ArrowDown: step }[event.key] || 0;
      const [w, h] = this.size();
      this.remember();
      if (event.altKey) this.put(this.selected, this.between(box.x, box.y, Math.max(box.x + 1, box.x + box.w + dx), Math.max(box.y + 1, box.y + box.h + dy)));
      else this.put(this.selected, { x: Math.min(w - box.w, Math.max(0, box.x + dx)), y: Math.min(h - box.h, Math.max(0, box.y + dy)), w: box.w, h: box.h });
      this.changed();
    },
  },
};
