// Draws a camera's frames with their layers on a canvas, and tells what the pointer, touch or keys choose.
import { drawCells, drawThings } from "live_drawing";

const RETRY_MS = [500, 1000, 2000, 4000];
const HOVER_MS = 60;
const PROBE_MS = 1500;
const CLICK_PIXELS = 6;

export default {
  template: `
    <div class="live-view">
      <div class="live-stage" ref="stage">
        <canvas ref="canvas" tabindex="0" role="img" :aria-label="description"
          :style="{ cursor: mode === 'look' ? 'default' : 'crosshair', touchAction: mode === 'look' ? 'auto' : 'none' }"
          @pointerdown="pointerDown" @pointermove="pointerMove" @pointerup="pointerUp"
          @pointercancel="pointerLeave" @pointerleave="pointerLeave" @keydown="keyDown"></canvas>
        <div class="live-note" role="status" v-show="shownNote">{{ shownNote }}</div>
      </div>
      <div class="live-stats" aria-label="Rates and latencies">
        <div v-for="one in tiles" :key="one.name" :title="one.hint">
          <span>{{ one.name }}</span><b>{{ one.value }}</b>
        </div>
      </div>
    </div>`,
  props: { camera: String, layers: Array, clusters: Number, mode: String, opacity: Number },
  data() {
    return { note: "Connecting ...", connected: false, stats: {}, description: "camera, no image yet", size: [0, 0] };
  },
  computed: {
    shownNote() {
      return this.connected ? this.note : "The studio does not answer; trying again ...";
    },
    tiles() {
      const s = this.stats;
      const hertz = (v) => (v ? `${v.toFixed(1)}/s` : "-");
      const ms = (v) => (v === null || v === undefined ? "-" : `${Math.round(v)} ms`);
      return [
        { name: "camera", value: hertz(s.camera_hz), hint: "Images that the camera sends" },
        { name: "results", value: hertz(s.results_hz), hint: "Images that the node answers" },
        { name: "shown here", value: hertz(s.shown_hz), hint: "Images that this browser draws" },
        { name: "node latency", value: ms(s.node_ms), hint: "From the image's stamp until the node has published its results (median)" },
        { name: "camera to screen", value: ms(s.pixels_ms), hint: "From the image's stamp until it is drawn here (median)" },
        { name: "behind the node", value: ms(s.behind_ms), hint: "What the studio, the network and this browser add to the node's latency (median)" },
      ];
    },
  },
  watch: {
    camera() { this.reset(); this.reconnect(); },
    layers() { this.tellLayers(); this.draw(); },
    clusters() { this.tellLayers(); },
    opacity() { this.draw(); },
    mode() { this.dismiss(); this.tellLayers(); },
  },
  created() {
    // What changes with each frame is kept away from Vue, which would watch it.
    Object.assign(this, { socket: null, attempts: 0, frame: null, cells: null, drag: null, cursor: null, held: "", ended: false });
  },
  mounted() {
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.$refs.stage);
    this.onVisible = () => (document.hidden ? this.disconnect() : this.reconnect());
    document.addEventListener("visibilitychange", this.onVisible);
    this.reconnect();
  },
  unmounted() {
    this.ended = true;
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onVisible);
    this.disconnect();
  },
  methods: {
    // The connection.
    disconnect() {
      clearTimeout(this.retry);
      if (this.socket) {
        this.socket.onclose = null;
        this.socket.close();
        this.socket = null;
      }
    },
    reconnect() {
      this.disconnect();
      if (this.ended || document.hidden) return;
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}${window.path_prefix || ""}/live/stream/${this.camera}`);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => { this.connected = true; this.tellLayers(); };
      socket.onmessage = (event) => {
        this.attempts = 0;
        typeof event.data === "string" ? this.status(JSON.parse(event.data)) : this.binary(event.data, socket);
      };
      socket.onclose = () => {
        this.connected = false;
        this.stats = {};
        this.retry = setTimeout(() => this.reconnect(), RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)]);
      };
      this.socket = socket;
    },
    send(message) {
      if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    },
    tellLayers() {
      const layers = this.mode === "look" ? this.layers : [...this.layers, "hover"];
      this.send({ layers, clusters: this.clusters });
    },
    status(message) {
      if (message.note !== undefined) this.note = message.note;
      if (message.stats) this.stats = message.stats;
    },
    reset() {
      this.frame = null;
      this.dismiss();
      this.stats = {};
      this.description = "camera, no image yet";
    },
    async binary(data, socket) {
      const received = performance.now();
      const length = new DataView(data).getUint32(0, true);
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      const parts = {};
      let at = 4 + length;
      for (const [name, size] of header.parts) {
        parts[name] = new Uint8Array(data, at, size);
        at += size;
      }
      if (header.kind === "cells") return this.cellsCame(header, parts.cells);
      const bitmaps = {};
      await Promise.all(Object.entries(parts).map(async ([name, bytes]) => {
        try {
          bitmaps[name] = await createImageBitmap(new Blob([bytes]), { imageOrientation: "none" });
        } catch (error) { /* a damaged picture is left out */ }
      }));
      if (socket !== this.socket) return;
      requestAnimationFrame(() => {
        if (!this.held && bitmaps.image) {
          for (const old of Object.values(this.frame ? this.frame.bitmaps : {})) old.close();
          this.frame = { header, bitmaps };
          this.draw();
          this.describe(header.things);
          if (this.mode === "hover" && this.cursor) this.askHover();
        }
        this.send({ ack: header.number, busy: performance.now() - received });
      });
    },
    describe(things) {
      const now = performance.now();
      if (this.described && now - this.described < 1000) return;
      this.described = now;
      const counts = {};
      for (const one of things) counts[one.label] = (counts[one.label] || 0) + 1;
      const seen = Object.entries(counts).map(([label, count]) => `${count} ${label}`).join(", ");
      this.description = `camera${this.camera === "-" ? "" : " " + this.camera}: ${seen || "nothing that is looked for"}`;
    },

    // Drawing.
    draw() {
      const canvas = this.$refs.canvas;
      const stage = this.$refs.stage;
      if (!canvas || !this.frame) return;
      const { header, bitmaps } = this.frame;
      const [width, height] = header.size;
      const shown = Math.min(stage.clientWidth / width, (0.74 * window.innerHeight) / height);
      const ratio = window.devicePixelRatio || 1;
      const w = Math.max(1, Math.round(width * shown * ratio));
      const h = Math.max(1, Math.round(height * shown * ratio));
      if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
        canvas.style.width = `${w / ratio}px`;
        canvas.style.height = `${h / ratio}px`;
      }
      const context = canvas.getContext("2d");
      const scale = w / width;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.imageSmoothingEnabled = true;
      context.globalAlpha = 1;
      context.drawImage(bitmaps.image, 0, 0, width, height);
      this.drawPictures(context, header, bitmaps, width, height);
      if (this.cells) drawCells(context, this.cells, { neighbours: this.cells.purpose === "example", unit: ratio / scale, width, height });
      const wants = new Set(this.layers);
      if (!(this.cells && this.cells.purpose === "hover")) drawThings(context, header.things, wants, ratio / scale, width, height);
      this.drawChoice(context, ratio / scale);
    },
    drawPictures(context, header, bitmaps, width, height) {
      // Colours of two kinds over each other would be neither's.
      const wants = new Set(this.cells ? [] : this.layers);
      for (const name of ["pca", "clusters", "masks", "instances"]) {
        if (!bitmaps[name] || !wants.has(name)) continue;
        context.globalAlpha = name === "pca" ? Math.max(this.opacity, 0.6) : this.opacity;
        context.imageSmoothingEnabled = name === "pca";
        if (name === "clusters" && header.grid) {
          const [sx, sy, ox, oy] = header.grid.map;
          context.drawImage(bitmaps[name], ox + 0.5 - sx / 2, oy + 0.5 - sy / 2, header.grid.columns * sx, header.grid.rows * sy);
        } else {
          context.drawImage(bitmaps[name], 0, 0, width, height);
        }
      }
      context.globalAlpha = 1;
      context.imageSmoothingEnabled = true;
    },
    drawChoice(context, unit) {
      const line = (colour, thick) => { context.strokeStyle = colour; context.lineWidth = thick * unit; };
      if (this.drag && this.drag.box) {
        const [x0, y0, x1, y1] = this.drag.box;
        context.setLineDash([6 * unit, 4 * unit]);
        for (const [colour, thick] of [["#000", 4], ["#fff", 2]]) { line(colour, thick); context.strokeRect(x0, y0, x1 - x0, y1 - y0); }
        context.setLineDash([]);
      }
      if (this.cursor && this.cursor.keys) {
        const [x, y] = this.cursor.at;
        for (const [colour, thick] of [["#000", 4], ["#fff", 2]]) {
          line(colour, thick);
          context.beginPath();
          context.moveTo(x - 12 * unit, y); context.lineTo(x + 12 * unit, y);
          context.moveTo(x, y - 12 * unit); context.lineTo(x, y + 12 * unit);
          context.stroke();
        }
      }
    },

    // Pointer and keys.
    place(event) {
      const area = this.$refs.canvas.getBoundingClientRect();
      const [width, height] = this.frame.header.size;
      const clamp = (value, most) => Math.min(Math.max(value, 0), most);
      return [
        clamp(((event.clientX - area.left) / area.width) * width, width),
        clamp(((event.clientY - area.top) / area.height) * height, height),
      ];
    },
    pointerDown(event) {
      if (!this.frame || this.mode === "look") return;
      this.cursor = { at: this.place(event) };
      if (this.mode === "hover") return this.askHover();
      event.preventDefault();
      this.$refs.canvas.focus();
      this.$refs.canvas.setPointerCapture(event.pointerId);
      this.begin(this.place(event));
    },
    pointerMove(event) {
      if (!this.frame) return;
      if (this.mode === "hover") {
        this.cursor = { at: this.place(event) };
        this.askHover();
      } else if (this.drag && this.drag.moving) {
        this.stretch(this.place(event));
      }
    },
    pointerUp(event) {
      if (this.drag && this.drag.moving) this.choose();
    },
    pointerLeave() {
      if (this.mode !== "hover") return;
      this.cursor = this.cells = null;
      this.draw();
    },
    keyDown(event) {
      if (!this.frame || this.mode === "look") return;
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const [width, height] = this.frame.header.size;
      if (event.key === "Escape") return this.dismiss();
      if (event.key === "Enter" && this.mode === "example" && this.cursor) {
        if (!this.drag) this.begin(this.cursor.at);
        this.choose();
      } else if (steps[event.key]) {
        const from = this.cursor ? this.cursor.at : [width / 2, height / 2];
        const at = [from[0] + (steps[event.key][0] * width) / 40, from[1] + (steps[event.key][1] * height) / 40];
        const inside = [Math.min(Math.max(at[0], 0), width - 1), Math.min(Math.max(at[1], 0), height - 1)];
        if (event.shiftKey && this.mode === "example" && !this.drag) this.begin(from);
        this.cursor = { at: inside, keys: true };
        if (event.shiftKey && this.drag) this.stretch(inside);
        if (this.mode === "hover") this.askHover();
        this.draw();
      } else {
        return;
      }
      event.preventDefault();
    },
    begin(at) {
      this.cells = null;
      this.held = this.frame.header.stamp;
      this.send({ hold: this.held });
      this.drag = { start: at, end: at, box: null, moving: true };
    },
    stretch(at) {
      const [x, y] = this.drag.start;
      this.drag.end = at;
      this.drag.box = [Math.min(x, at[0]), Math.min(y, at[1]), Math.max(x, at[0]), Math.max(y, at[1])];
      this.draw();
    },
    choose() {
      const drag = this.drag;
      drag.moving = false;
      const area = this.$refs.canvas.getBoundingClientRect();
      const least = (CLICK_PIXELS * this.frame.header.size[0]) / area.width;
      const [x0, y0, x1, y1] = drag.box || [0, 0, 0, 0];
      if (Math.max(x1 - x0, y1 - y0) < least) drag.box = null;
      else drag.box = [x0, y0, Math.max(x1, x0 + 1), Math.max(y1, y0 + 1)];
      this.send(drag.box ? { box: drag.box, purpose: "example" } : { point: drag.start, purpose: "example" });
      clearTimeout(this.probe);
      this.probe = setTimeout(() => this.tellExample(null), PROBE_MS);
    },
    askHover() {
      const now = performance.now();
      clearTimeout(this.later);
      if (this.asked && now - this.asked < HOVER_MS) {
        this.later = setTimeout(() => this.cursor && this.askHover(), HOVER_MS);
        return;
      }
      this.asked = now;
      this.send({ point: this.cursor.at, purpose: "hover" });
    },
    cellsCame(header, bytes) {
      if (header.purpose === "example") {
        if (!this.drag || this.drag.moving) return;
        this.tellExample(header.absent ? null : header);
      }
      if (header.absent || (header.purpose === "hover" && !this.cursor)) return;
      this.cells = { ...header, values: bytes };
      this.draw();
    },
    tellExample(found) {
      clearTimeout(this.probe);
      if (!this.drag || this.drag.told) return;
      this.drag.told = true;
      const clicked = this.drag.box === null;
      if (clicked && found) this.drag.box = found.box;
      this.draw();
      this.$emit("example", { stamp: this.held, box: this.drag.box, point: clicked ? this.drag.start : null });
    },

    // Called by the server.
    dismiss() {
      clearTimeout(this.probe);
      this.drag = this.cells = this.cursor = null;
      if (this.held) this.send({ hold: "" });
      this.held = "";
      this.draw();
    },
    snapshot() {
      if (!this.frame) return { stamp: "", jpeg: "" };
      this.send({ hold: this.frame.header.stamp });
      return { stamp: this.frame.header.stamp, jpeg: this.$refs.canvas.toDataURL("image/jpeg", 0.9).split(",")[1] };
    },
  },
};
