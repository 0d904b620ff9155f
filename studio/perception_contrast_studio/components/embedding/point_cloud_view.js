import { Camera, FrameTimes, Pointers, PointRenderer, nearest, projected, within } from "studio-point-cloud";

const REACH = 14;
const TRANSITION_MS = 700;
const HOVER_MS = 50;
// A slow machine draws a sample of the points while the view moves, and all of them this long after.
const REST_MS = 180;

export default {
  template: `
    <div class="point-cloud" :class="{ 'point-cloud-lasso': lassoMode }">
      <canvas ref="canvas" tabindex="0" role="application" :aria-label="label" @keydown="keyed"></canvas>
      <svg ref="overlay" aria-hidden="true">
        <line v-if="lineEnds" :x1="lineEnds[0]" :y1="lineEnds[1]" :x2="lineEnds[2]" :y2="lineEnds[3]" class="pc-line"/>
        <circle v-for="ring in rings" :cx="ring.x" :cy="ring.y" :r="ring.r" :class="ring.kind"/>
        <text v-if="lineText" :x="lineText.x" :y="lineText.y" class="pc-cosine">{{ lineText.text }}</text>
        <g v-for="word in wordPlaces" :transform="'translate(' + word.x + ' ' + word.y + ')'">
          <circle r="4" class="pc-word-dot"/><text x="8" y="4" class="pc-word">{{ word.text }}</text>
        </g>
        <path v-if="lasso" :d="lasso" class="pc-lasso"/>
      </svg>
      <div class="pc-tools" role="toolbar" aria-label="View">
        <button type="button" :aria-pressed="!lassoMode" @click="lassoMode = false" title="Move (drag)"
          aria-label="Move mode"><i class="material-icons" aria-hidden="true">open_with</i></button>
        <button type="button" :aria-pressed="lassoMode" @click="lassoMode = true" title="Lasso (Shift + drag)"
          aria-label="Lasso mode"><i class="material-icons" aria-hidden="true">gesture</i></button>
        <button type="button" @click="zoom(1.4)" title="Zoom in (+)" aria-label="Zoom in">
          <i class="material-icons" aria-hidden="true">add</i></button>
        <button type="button" @click="zoom(1 / 1.4)" title="Zoom out (-)" aria-label="Zoom out">
          <i class="material-icons" aria-hidden="true">remove</i></button>
        <button type="button" @click="fit" title="Show all (0)" aria-label="Show all points">
          <i class="material-icons" aria-hidden="true">fit_screen</i></button>
      </div>
      <div v-if="tip" class="pc-tip" :style="tip.style">
        <img v-if="tip.image" :src="tip.image" :alt="'Image of ' + (tip.text || 'the point')">
        <div>{{ tip.text }}</div>
      </div>
      <div v-if="problem" class="pc-problem" role="alert">{{ problem }}</div>
    </div>`,

  props: { label: String },

  data: () => ({
    lassoMode: false, lasso: null, rings: [], lineEnds: null, lineText: null, wordPlaces: [], tip: null,
    problem: "",
  }),

  mounted() {
    // Plain fields: Vue must not watch arrays of 100,000 points.
    Object.assign(this, {
      camera: new Camera(), times: new FrameTimes(), positions: new Float32Array(), dimmed: false,
      colours: new Uint8Array(), marks: new Uint8Array(), screen: new Float32Array(), stale: true,
      words: [], shown: { picked: -1, pair: null, text: "", near: [] }, progress: 1, source: "", pictures: false,
      request: 0, moveStart: 0, linkTo: null, wanted: 0, ratio: 1, about: new Map(),
    });
    const canvas = this.$refs.canvas;
    try {
      this.renderer = new PointRenderer(canvas);
    } catch (error) {
      this.problem = error.message;
      return;
    }
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.renderer.start(); this.redraw(); });
    this.pointers = new Pointers(canvas, this.gestures());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.$el);
    this.themes = new MutationObserver(() => this.redraw());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.resized();
    this.$emit("ready");
  },

  unmounted() {
    cancelAnimationFrame(this.request);
    clearTimeout(this.hoverTimer);
    clearTimeout(this.restTimer);
    this.pointers?.end();
    this.observer?.disconnect();
    this.themes?.disconnect();
    this.renderer?.end();
  },

  methods: {
    // Shows points. positions: URL of float32 (n, 3); colours: URL of (n, 4) bytes, the last one the shape.
    async show({ positions, colours, dimensions, source, pictures, animate, keep }) {
      const number = ++this.wanted;
      let arrays;
      try {
        arrays = await Promise.all([positions, colours].map(loaded));
      } catch (error) {
        this.problem = error.message;
        return;
      }
      if (number !== this.wanted || !this.renderer) return;
      const [now, tints] = [new Float32Array(arrays[0]), new Uint8Array(arrays[1])];
      const same = now.length === this.positions.length && source === this.source;
      const moves = animate && same && !matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.renderer.send("before", moves ? this.positions : now);
      this.renderer.send("now", now);
      if (this.renderer.count !== now.length / 3) this.renderer.shuffle(now.length / 3);
      Object.assign(this, { positions: now, source, pictures, problem: "", screen: new Float32Array(now.length / 3 * 2) });
      if (!same) {
        this.marks = new Uint8Array(this.renderer.count);
        this.dimmed = false;
        this.about.clear();
        this.renderer.send("mark", this.marks);
      }
      if (this.camera.dimensions !== dimensions) {
        this.camera.dimensions = dimensions;
        this.camera.fit();
      } else if (!keep) this.camera.fit();
      this.paint(tints);
      this.moveStart = moves ? performance.now() : 0;
      this.progress = moves ? 0 : 1;
      this.changed();
    },

    async recolour(url) {
      const number = this.wanted;
      const tints = new Uint8Array(await loaded(url));
      if (number === this.wanted && tints.length === 4 * this.renderer?.count) this.paint(tints);
    },

    paint(tints) {
      this.colours = tints;
      this.renderer.send("colour", tints);
      this.redraw();
    },

    // picked: index or -1; pair: two indices or null, with its text; near: indices.
    mark(shown) { this.shown = shown; this.redraw(); },

    set_words(words) { this.words = words; this.redraw(); },

    clear_selection() {
      this.marks = new Uint8Array(this.renderer?.count ?? 0);
      this.dimmed = false;
      this.renderer?.send("mark", this.marks);
      this.redraw();
    },

    // For tests and measurements: CSS pixels of a point in the canvas.
    place_of(index) {
      const screen = this.onScreen();
      return [screen[2 * index], screen[2 * index + 1]];
    },

    zoom(factor) { this.camera.zoomAt(factor, this.camera.width / 2, this.camera.height / 2); this.changed(); },
    fit() { this.camera.fit(); this.changed(); },
    changed() { this.stale = true; this.changedAt = performance.now(); this.redraw(); },
    redraw() { if (!this.request && this.renderer) this.request = requestAnimationFrame(() => this.frame()); },

    resized() {
      const [width, height] = [this.$el.clientWidth, this.$el.clientHeight];
      if (!width || !height) return;
      this.ratio = Math.min(window.devicePixelRatio || 1, 2);
      const canvas = this.$refs.canvas;
      canvas.width = Math.round(width * this.ratio);
      canvas.height = Math.round(height * this.ratio);
      Object.assign(this.camera, { width, height });
      this.changed();
    },

    frame() {
      this.request = 0;
      if (this.renderer.gl.isContextLost()) return;
      if (this.progress < 1) {
        const part = Math.min(1, (performance.now() - this.moveStart) / TRANSITION_MS);
        this.progress = part;
      }
      const count = this.renderer.count;
      const moves = this.progress < 1 || this.pointers.gesture?.far || performance.now() - this.changedAt < REST_MS;
      const most = moves ? Math.round(Math.min(count, this.times.budget)) : count;
      const dark = document.body.classList.contains("body--dark");
      this.renderer.draw({
        matrix: this.camera.matrix(), progress: smooth(this.progress), dimmed: this.dimmed,
        size: pointSize(count, this.camera.zoom), paper: dark ? [0.1, 0.11, 0.12] : [1, 1, 1],
        deep: this.camera.dimensions === 3, ratio: this.ratio, most,
      });
      clearTimeout(this.restTimer);
      if (most < count) this.restTimer = setTimeout(() => this.redraw(), REST_MS);
      this.decorate();
      if (this.progress < 1) this.redraw();
      this.times.drawn(count, this.progress < 1 || Boolean(this.pointers.gesture?.far), most);
    },

    onScreen() {
      if (this.stale) {
        projected(this.positions, this.camera.matrix(), this.camera.width, this.camera.height, this.screen);
        this.stale = false;
      }
      return this.screen;
    },

    // Rings, the line of a pair and the words, over the points.
    decorate() {
      const { picked, pair, text, near } = this.shown;
      const spot = (index) => this.spot(this.positions.subarray(3 * index, 3 * index + 3));
      const known = (index) => index >= 0 && index < this.renderer.count;
      const ring = (index, r, kind) => ({ ...spot(index), r, kind });
      const rings = near.filter(known).map((index) => ring(index, 6, "pc-near"));
      if (known(picked)) rings.push(ring(picked, 9, "pc-picked"));
      if (rings.length || this.rings.length) this.rings = rings;
      this.lineEnds = this.lineText = null;
      if (this.linkTo && known(picked)) {
        const from = spot(picked);
        this.lineEnds = [from.x, from.y, ...this.linkTo];
      } else if (pair && pair.every(known)) {
        const [a, b] = pair.map(spot);
        this.rings.push(ring(pair[0], 9, "pc-picked"), ring(pair[1], 9, "pc-picked"));
        this.lineEnds = [a.x, a.y, b.x, b.y];
        this.lineText = { x: (a.x + b.x) / 2 + 8, y: (a.y + b.y) / 2 - 8, text };
      }
      if (this.words.length || this.wordPlaces.length) {
        this.wordPlaces = this.words.map((word) => ({ text: word.text, ...this.spot(word.place) }));
      }
    },

    spot(place) {
      const [x, y] = projected(place, this.camera.matrix(), this.camera.width, this.camera.height, [0, 0]);
      return { x, y };
    },

    hit(x, y) { return nearest(this.onScreen(), this.colours, x, y, REACH); },

    gestures() {
      const deep = () => this.camera.dimensions === 3;
      return {
        lassoing: (event) => (this.lassoMode || event.shiftKey) && event.button === 0,
        startsLink: (x, y) => {
          const { picked } = this.shown;
          if (picked < 0 || picked >= this.renderer.count) return false;
          const spot = this.spot(this.positions.subarray(3 * picked, 3 * picked + 3));
          return Math.hypot(spot.x - x, spot.y - y) < REACH;
        },
        drag: (dx, dy, turns) => {
          if (deep() && turns) this.camera.turn(dx, dy);
          else this.camera.pan(dx, dy);
          this.changed();
        },
        pinch: (factor, x, y, dx, dy) => {
          this.camera.zoomAt(factor, x, y);
          this.camera.pan(dx, dy);
          this.changed();
        },
        lasso: (path, done) => {
          this.lasso = path && !done ? `M${path.map((p) => p.map(Math.round).join(" ")).join("L")}Z` : null;
          if (path && done) this.select(path);
        },
        link: (x, y, done) => {
          this.linkTo = done ? null : [x, y];
          this.redraw();
          const other = done ? this.hit(x, y) : -1;
          if (other >= 0) this.$emit("pick", { index: other, second: true });
        },
        click: (x, y, event) => {
          const index = this.hit(x, y);
          if (index >= 0) this.$emit("pick", { index, second: event.ctrlKey || event.metaKey });
        },
        hover: (x, y) => this.hovered(x, y),
      };
    },

    select(path) {
      const count = within(this.onScreen(), this.colours, path, this.marks);
      this.dimmed = count > 0;
      this.renderer.send("mark", this.marks);
      this.redraw();
      const bits = new Uint8Array(Math.ceil(this.marks.length / 8));
      this.marks.forEach((mark, index) => { if (mark) bits[index >> 3] |= 1 << (index & 7); });
      let text = "";
      for (let at = 0; at < bits.length; at += 8192) text += String.fromCharCode(...bits.subarray(at, at + 8192));
      this.$emit("lasso", { count, bits: btoa(text) });
    },

    hovered(x, y) {
      clearTimeout(this.hoverTimer);
      if (x === null) { this.tip = null; return; }
      this.hoverTimer = setTimeout(async () => {
        const index = this.hit(x, y);
        if (index < 0) { this.tip = null; return; }
        const text = await this.described(index);
        const [right, low] = [x > this.camera.width / 2, y > this.camera.height / 2];
        this.tip = {
          text, image: this.pictures ? `${this.source}/picture/${index}` : "",
          style: {
            [right ? "right" : "left"]: `${(right ? this.camera.width - x : x) + 14}px`,
            [low ? "bottom" : "top"]: `${(low ? this.camera.height - y : y) + 14}px`,
          },
        };
      }, HOVER_MS);
    },

    async described(index) {
      if (this.about.has(index)) return this.about.get(index);
      const response = await fetch(`${this.source}/about/${index}`).catch(() => null);
      const text = response?.ok ? (await response.json()).text : `point ${index}`;
      if (this.about.size > 500) this.about.clear();
      this.about.set(index, text);
      return text;
    },

    keyed(event) {
      const step = 40;
      const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
      if (event.key in moves) {
        const [dx, dy] = moves[event.key];
        if (event.shiftKey && this.camera.dimensions === 3) this.camera.turn(dx, dy);
        else this.camera.pan(dx, dy);
        this.changed();
      } else if (event.key === "+" || event.key === "=") this.zoom(1.25);
      else if (event.key === "-") this.zoom(0.8);
      else if (event.key === "0") this.fit();
      else if (event.key === "Enter") {
        const index = nearest(this.onScreen(), this.colours, this.camera.width / 2, this.camera.height / 2, 1e6);
        if (index >= 0) this.$emit("pick", { index, second: event.ctrlKey || event.metaKey });
      } else if (event.key === "Escape") {
        this.lassoMode = false;
        this.clear_selection();
        this.$emit("clear");
      } else return;
      event.preventDefault();
    },
  },
};

async function loaded(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error("The points are gone; reload the page.");
  return response.arrayBuffer();
}

function smooth(t) { return t * t * (3 - 2 * t); }

// Fewer points may be larger, and grow a little with the zoom.
function pointSize(count, zoom) {
  const base = count > 50000 ? 2.6 : count > 10000 ? 3.6 : count > 1500 ? 5.5 : 8;
  return base * Math.min(3, Math.max(1, Math.pow(zoom, 0.25)));
}
