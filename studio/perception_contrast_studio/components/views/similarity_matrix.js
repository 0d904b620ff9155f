// A table of n x n numbers as a heat map on a canvas; the cell under the pointer or the cursor keys is explained.
const STOPS = [[0, 0, 4], [51, 18, 106], [120, 28, 109], [190, 55, 82], [237, 105, 37], [251, 180, 26], [252, 255, 164]];

function colour(share) {
  const at = Math.min(0.999999, Math.max(0, share)) * (STOPS.length - 1);
  const low = Math.floor(at), part = at - low;
  return STOPS[low].map((value, n) => value + part * (STOPS[low + 1][n] - value));
}

export default {
  template: `
    <div class="pm">
      <div class="pm-box" ref="box">
        <canvas ref="canvas" tabindex="0" role="img" :aria-label="label" @pointermove="point" @pointerleave="leave"
                @click="choose" @keydown="key"></canvas>
      </div>
      <div class="pm-scale" aria-hidden="true"><span>{{ said(low) }}</span><i></i><span>{{ said(high) }}</span></div>
      <div class="pm-said" aria-live="polite">
        <template v-if="cell">
          <div class="pm-pair">
            <div v-if="first.sheet" class="pm-tile" :style="tile(first, cell[0])"></div>
            <div v-if="second.sheet" class="pm-tile" :style="tile(second, cell[1])"></div>
          </div>
          <div><b>{{ first.names[cell[0]] }}</b> (row {{ cell[0] + 1 }})<br />
            <b>{{ second.names[cell[1]] }}</b> (column {{ cell[1] + 1 }})<br />
            {{ meaning }}: <b>{{ said(value(cell)) }}</b> {{ remark }}</div>
        </template>
        <span v-else>Point at a cell, or use the cursor keys; a click shows its row.</span>
      </div>
    </div>`,
  props: { table: String, near: String, alike: String, count: Number, row: Number, first: Object, second: Object,
           meaning: String, low: Number, high: Number, powered: Boolean },
  data() {
    return { cell: null, values: null, close: null, twins: null };
  },
  computed: {
    label() {
      return `${this.meaning}, ${this.count} rows and columns; own pairs lie on the diagonal`;
    },
    remark() {
      const at = this.cell[0] * this.count + this.cell[1];
      if (this.cell[0] === this.cell[1]) return "- a true pair";
      if (this.close && this.close[at]) return "- near in time or place: a false negative";
      if (this.twins && this.twins[at]) return "- of the same class or caption: a false negative";
      return "- a negative";
    },
  },
  watch: {
    table() { this.load(); },
    row() { this.draw(); },
  },
  mounted() {
    this.load();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.$refs.box);
  },
  beforeUnmount() {
    this.observer.disconnect();
  },
  methods: {
    async load() {
      if (!this.table) return;
      const wanted = this.table;
      const [table, near, alike] = await Promise.all(
        [this.table, this.near, this.alike].map((url) => (url ? fetch(url).then((r) => (r.ok ? r.arrayBuffer() : null)) : null)),
      );
      if (wanted !== this.table || !table) return;
      this.values = new Float32Array(table);
      this.close = near ? new Uint8Array(near) : null;
      this.twins = alike ? new Uint8Array(alike) : null;
      if (this.cell && Math.max(...this.cell) >= this.count) this.cell = null;
      this.draw();
    },
    share(value) {
      const share = (value - this.low) / (this.high - this.low || 1);
      return this.powered ? Math.sqrt(Math.max(0, share)) : share;
    },
    draw() {
      const n = this.count, canvas = this.$refs.canvas, side = this.$refs.box?.clientWidth;
      if (!side || !this.values || this.values.length !== n * n) return;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = canvas.height = Math.round(side * ratio);
      const small = document.createElement("canvas");
      small.width = small.height = n;
      const pixels = new ImageData(n, n);
      for (let at = 0; at < n * n; at++) {
        const found = Number.isNaN(this.values[at]) ? [128, 128, 128] : colour(this.share(this.values[at]));
        pixels.data.set([...found, 255], 4 * at);
      }
      small.getContext("2d").putImageData(pixels, 0, 0);
      const context = canvas.getContext("2d"), step = canvas.width / n;
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, canvas.width, canvas.height);
      this.outline(context, step, this.twins, "#56b4e9", [step / 4, step / 5]);
      this.outline(context, step, this.close, "#00e5a0", []);
      if (this.row >= 0 && this.row < n) this.frame(context, 0, this.row * step, canvas.width, step, "#ffffff", 2 * ratio);
      if (this.cell) this.frame(context, this.cell[1] * step, this.cell[0] * step, step, step, "#ffffff", 2 * ratio);
    },
    outline(context, step, marks, style, dashes) {
      if (!marks) return;
      context.strokeStyle = style;
      context.lineWidth = Math.max(1, Math.min(step / 10, 3));
      context.setLineDash(dashes);
      for (let at = 0; at < marks.length; at++) {
        if (!marks[at]) continue;
        const inset = context.lineWidth / 2, row = Math.floor(at / this.count), column = at % this.count;
        context.strokeRect(column * step + inset, row * step + inset, step - 2 * inset, step - 2 * inset);
      }
      context.setLineDash([]);
    },
    frame(context, x, y, width, height, style, line) {
      context.lineWidth = line;
      context.strokeStyle = "#000000";
      context.strokeRect(x - line / 2, y - line / 2, width + line, height + line);
      context.strokeStyle = style;
      context.strokeRect(x + line / 2, y + line / 2, width - line, height - line);
    },
    place(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      const at = (value, size) => Math.min(this.count - 1, Math.max(0, Math.floor((value / size) * this.count)));
      return [at(event.clientY - box.top, box.height), at(event.clientX - box.left, box.width)];
    },
    point(event) {
      this.cell = this.place(event);
      this.draw();
    },
    leave() {
      this.cell = null;
      this.draw();
    },
    choose(event) {
      this.$emit("row", this.place(event)[0]);
    },
    key(event) {
      const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key === "Enter" && this.cell) return this.$emit("row", this.cell[0]);
      if (!(event.key in moves)) return;
      event.preventDefault();
      const from = this.cell || [0, -1];
      this.cell = from.map((value, n) => Math.min(this.count - 1, Math.max(0, value + moves[event.key][n])));
      this.draw();
    },
    value(cell) {
      return this.values ? this.values[cell[0] * this.count + cell[1]] : NaN;
    },
    said(value) {
      if (value === undefined || Number.isNaN(value)) return "left out by the mask";
      return Math.abs(value) < 0.001 && value !== 0 ? value.toExponential(1) : value.toFixed(3);
    },
    tile(side, number) {
      return { backgroundImage: `url(${side.sheet})`, backgroundPosition: `-${number * 96}px 0` };
    },
  },
};
