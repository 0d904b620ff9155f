// A frame with an overlay, marks and a cross that the arrow keys move. Emits pick {x, y} and drag {box}.
export default {
  template: `
    <div class="encoder-image" :class="{picking: pick}" :tabindex="pick ? 0 : -1" role="group" :aria-label="label"
         @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="start = null" @keydown="key"
         @focus="focused" @blur="cross = null" ref="box">
      <img v-if="image" :src="image" :alt="label" draggable="false">
      <img v-if="overlay" :src="overlay" class="overlay" alt="" :style="{opacity: opacity}" draggable="false">
      <span v-for="(mark, index) in marks" :key="index" class="mark" :style="place(mark)">{{ mark.text }}</span>
      <span v-if="cross" class="cross" :style="place(cross)"></span>
      <span v-if="rectangle" class="rectangle" :style="rectangleStyle"></span>
    </div>`,
  props: {
    image: String, overlay: String, opacity: Number, label: String, marks: Array, pick: Boolean, boxes: Boolean,
    chosen: Array,
  },
  data() { return {start: null, now: null, cross: null, byPointer: false}; },
  computed: {
    rectangle() {
      if (this.boxes && this.start && this.now && this.moved()) return [...this.start, ...this.now];
      return this.chosen && this.chosen.length === 4 ? this.chosen : null;
    },
    rectangleStyle() {
      const [x0, y0, x1, y1] = this.rectangle;
      return {
        left: `${100 * Math.min(x0, x1)}%`, top: `${100 * Math.min(y0, y1)}%`,
        width: `${100 * Math.abs(x1 - x0)}%`, height: `${100 * Math.abs(y1 - y0)}%`,
      };
    },
  },
  methods: {
    place(point) {
      return {left: `${100 * point.x}%`, top: `${100 * point.y}%`, background: point.colour || undefined};
    },
    at(event) {
      const area = this.$refs.box.getBoundingClientRect();
      const share = (value) => Math.min(Math.max(value, 0), 0.9999);
      return [share((event.clientX - area.left) / area.width), share((event.clientY - area.top) / area.height)];
    },
    moved() { return Math.hypot(this.now[0] - this.start[0], this.now[1] - this.start[1]) > 0.03; },
    down(event) {
      if (!this.pick || event.button) return;
      this.byPointer = true;
      this.start = this.now = this.at(event);
      if (this.boxes) this.$refs.box.setPointerCapture(event.pointerId);
    },
    move(event) { if (this.start) this.now = this.at(event); },
    up(event) {
      if (!this.start) return;
      this.now = this.at(event);
      if (this.boxes && this.moved()) this.$emit('drag', {box: [...this.start, ...this.now]});
      else this.$emit('pick', {x: this.now[0], y: this.now[1]});
      this.start = null;
      this.byPointer = false;
    },
    focused() { if (this.pick && !this.byPointer) this.cross = {x: 0.5, y: 0.5}; },
    key(event) {
      if (!this.pick) return;
      const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
      const step = steps[event.key];
      if (step) {
        const from = this.cross || {x: 0.5, y: 0.5}, size = event.shiftKey ? 0.1 : 0.02;
        const share = (value) => Math.min(Math.max(value, 0), 0.9999);
        this.cross = {x: share(from.x + size * step[0]), y: share(from.y + size * step[1])};
      } else if ((event.key === 'Enter' || event.key === ' ') && this.cross) {
        this.$emit('pick', {x: this.cross.x, y: this.cross.y});
      } else return;
      event.preventDefault();
    },
  },
};
