// Thumbnails of very many frames: only the rows in sight are in the page.
const TILE = 168; // CSS pixels, with its margin
const AHEAD = 2; // rows above and below those in sight
const MARKS = { 1: "duplicate", 2: "left out" };

export default {
  template: `
    <div ref="box" class="frame-grid" tabindex="0" role="listbox" :aria-label="frames.length + ' frames'"
      :aria-activedescendant="'frame-' + active" @scroll="look" @keydown="key">
      <div :style="{ height: rows * height + 'px', position: 'relative' }">
        <div v-for="place in shown" :key="place" role="option" :id="'frame-' + place" class="frame-grid-tile"
          :class="{ 'frame-grid-active': place === active }" :aria-selected="place === active" :style="at(place)"
          @click="open(place)">
          <img :src="base + '/' + frames[place] + '/thumbnail'" :alt="'frame ' + frames[place]" loading="lazy"
            @error="$event.target.classList.add('frame-grid-broken')" />
          <span>{{ frames[place] }}<b v-if="marks[place]"> {{ name(marks[place]) }}</b></span>
        </div>
      </div>
    </div>`,
  props: { source: String, base: String },
  data() {
    return { frames: [], marks: [], columns: 1, first: 0, last: 0, height: TILE * 0.8, active: 0 };
  },
  computed: {
    rows() { return Math.ceil(this.frames.length / this.columns); },
    shown() {
      const from = this.first * this.columns, to = Math.min(this.frames.length, this.last * this.columns);
      return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
    },
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.look());
    this.observer.observe(this.$refs.box);
    this.fetchFrames();
  },
  unmounted() { this.observer.disconnect(); },
  watch: { source() { this.fetchFrames(); } },
  methods: {
    name(mark) { return MARKS[mark] || ""; },
    async fetchFrames() {
      if (!this.source) return;
      const source = this.source, answer = await fetch(source);
      if (!answer.ok || source !== this.source) return;
      const read = await answer.json();
      this.frames = read.frames;
      this.marks = read.marks;
      this.active = 0;
      this.$refs.box.scrollTop = 0;
      this.look();
    },
    look() {
      const box = this.$refs.box;
      if (!box) return;
      this.columns = Math.max(1, Math.floor(box.clientWidth / TILE));
      this.first = Math.max(0, Math.floor(box.scrollTop / this.height) - AHEAD);
      this.last = Math.ceil((box.scrollTop + box.clientHeight) / this.height) + AHEAD;
    },
    at(place) {
      const width = this.$refs.box ? this.$refs.box.clientWidth / this.columns : TILE;
      return {
        left: (place % this.columns) * width + "px", top: Math.floor(place / this.columns) * this.height + "px",
        width: width - 6 + "px", height: this.height - 6 + "px",
      };
    },
    open(place) {
      this.active = place;
      this.$emit("open", this.frames[place]);
    },
    key(event) {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
      if (event.key === "Enter" || event.key === " ") this.open(this.active);
      else if (event.key in steps) {
        this.active = Math.min(this.frames.length - 1, Math.max(0, this.active + steps[event.key]));
        const top = Math.floor(this.active / this.columns) * this.height, box = this.$refs.box;
        if (top < box.scrollTop) box.scrollTop = top;
        if (top + this.height > box.scrollTop + box.clientHeight) box.scrollTop = top + this.height - box.clientHeight;
      } else return;
      event.preventDefault();
    },
  },
};
