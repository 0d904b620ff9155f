// The map in three dimensions: points, boxes of things, rays, a pose. It draws when something changed.
import { CSS2DObject, CSS2DRenderer, OrbitControls, THREE } from "nicegui-scene";

const STATUS = { confirmed: 0x56b4e9, unconfirmed: 0xe69f00, gone: 0x999999 };
const FOUND = 0xcc79a7;
const SELECTED = 0xd55e00;
const RAY = 0xe69f00;
const APPROACH = 0x009e73;
const CLICK_PIXELS = 5;
// Viridis at nine places, of which the colours between are mixed.
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];

// Colours go to the screen as they are.
const colour = (hex) => new THREE.Color().setHex(hex, THREE.LinearSRGBColorSpace);

function viridis(share, out, at) {
  const place = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
  for (let i = 0; i < 3; i++) {
    out[at + i] = VIRIDIS[low][i] + (place - low) * (VIRIDIS[low + 1][i] - VIRIDIS[low][i]);
  }
}

export default {
  template: `
    <div class="map-scene" role="group" aria-label="Map in three dimensions">
      <canvas ref="canvas" tabindex="0" :aria-label="description"></canvas>
      <div ref="labels" class="map-scene-labels" aria-hidden="true"></div>
      <div v-if="failure" class="map-scene-failure" role="alert">{{ failure }}</div>
    </div>`,
  props: {
    cloud: Object,
    colouring: String,
    things: Array,
    rays: Array,
    approach: Object,
    place: Array,
    focus: Object,
    names: Boolean,
    description: String,
  },
  data: () => ({ failure: "" }),
  mounted() {
    try {
      this.start();
    } catch (error) {
      this.failure = "This browser cannot draw in three dimensions (WebGL); use the plan from above.";
      return;
    }
    this.load();
    this.drawThings();
    this.drawMarks();
    // For tests: what is drawn.
    this.$el.mapScene = this;
  },
  beforeUnmount() {
    this.ended = true;
    this.observer?.disconnect();
    this.controls?.dispose();
    this.scene?.traverse((one) => this.release(one));
    this.renderer?.dispose();
  },
  watch: {
    cloud() { this.load(); },
    colouring() { this.paint(); },
    things() { this.drawThings(); },
    names() { this.drawThings(); },
    rays() { this.drawMarks(); },
    approach() { this.drawMarks(); },
    place() { this.drawMarks(); },
    focus(given, before) { if (given && given.turn !== before?.turn) this.lookAt(given); },
  },
  methods: {
    start() {
      const canvas = this.$refs.canvas;
      this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
      this.renderer.outputColorSpace = THREE.LinearSRGBColorSpace;
      this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
      this.labelRenderer = new CSS2DRenderer({ element: this.$refs.labels });
      this.scene = new THREE.Scene();
      this.camera = new THREE.PerspectiveCamera(55, 1, 0.02, 500);
      this.camera.up.set(0, 0, 1);
      this.camera.position.set(-3, -4, 4);
      this.controls = new OrbitControls(this.camera, canvas);
      this.controls.addEventListener("change", () => this.request());
      this.thingGroup = new THREE.Group();
      this.markGroup = new THREE.Group();
      this.scene.add(this.thingGroup, this.markGroup, new THREE.AxesHelper(0.5));
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(this.$el);
      canvas.addEventListener("pointerdown", (e) => (this.down = [e.clientX, e.clientY]));
      canvas.addEventListener("pointerup", (e) => this.pick(e));
      canvas.addEventListener("keydown", (e) => this.key(e));
      this.resize();
    },
    resize() {
      const { clientWidth: width, clientHeight: height } = this.$el;
      if (!width || !height) return;
      this.renderer.setSize(width, height, false);
      this.labelRenderer.setSize(width, height);
      this.camera.aspect = width / height;
      this.camera.updateProjectionMatrix();
      this.request();
    },
    request() {
      if (this.pending || this.ended) return;
      this.pending = requestAnimationFrame(() => {
        this.pending = 0;
        if (this.ended) return;
        this.renderer.render(this.scene, this.camera);
        this.labelRenderer.render(this.scene, this.camera);
      });
    },
    async load() {
      const given = this.cloud;
      // Any change of a property brings all of them anew.
      if (!given || !this.renderer || given.url === this.loadedUrl) return;
      this.loadedUrl = given.url;
      if (!given.count) { this.show(given, new ArrayBuffer(0)); return; }
      try {
        const response = await fetch(given.url);
        if (!response.ok) throw new Error(await response.text());
        const data = await response.arrayBuffer();
        // A newer cloud may have come meanwhile.
        if (!this.ended && given.url === this.cloud.url) this.show(given, data);
      } catch (error) {
        if (given.url === this.cloud?.url) this.$emit("trouble", String(error.message || error));
      }
    },
    show(given, data) {
      const count = given.count;
      const positions = new Float32Array(data, 0, 3 * count);
      this.rgb = new Uint8Array(data, 12 * count, 3 * count);
      this.heat = given.heat ? new Uint8Array(data, 15 * count, count) : null;
      if (this.points) { this.scene.remove(this.points); this.release(this.points); }
      const geometry = new THREE.BufferGeometry();
      geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
      geometry.setAttribute("color", new THREE.BufferAttribute(new Uint8Array(3 * count), 3, true));
      const material = new THREE.PointsMaterial({ size: given.size, vertexColors: true });
      this.points = new THREE.Points(geometry, material);
      this.scene.add(this.points);
      this.paint();
      // A new map begins with an empty cloud.
      if (count && !this.fitted) this.view("fit");
      this.fitted = count > 0;
    },
    paint() {
      if (!this.points) return;
      const colours = this.points.geometry.attributes.color;
      if (this.colouring === "heat" && this.heat) {
        for (let i = 0; i < this.heat.length; i++) viridis(this.heat[i] / 255, colours.array, 3 * i);
      } else {
        colours.array.set(this.rgb);
      }
      colours.needsUpdate = true;
      this.request();
    },
    drawThings() {
      if (!this.renderer) return;
      this.empty(this.thingGroup);
      for (const one of this.things || []) {
        const shade = one.selected ? SELECTED : one.found ? FOUND : STATUS[one.status] ?? FOUND;
        const geometry = new THREE.BoxGeometry(...one.size);
        const fill = new THREE.MeshBasicMaterial({
          color: colour(shade), transparent: true, depthWrite: false, side: THREE.DoubleSide,
          opacity: one.selected ? 0.35 : one.found ? 0.22 : 0.05,
        });
        const box = new THREE.Mesh(geometry, fill);
        box.position.set(...one.center);
        box.rotation.z = one.yaw;
        box.userData = { id: one.id, key: one.key, volume: one.size[0] * one.size[1] * one.size[2] };
        const edges = new THREE.LineSegments(
          new THREE.EdgesGeometry(geometry),
          // What was asked for shines through what stands before it.
          new THREE.LineBasicMaterial({ color: colour(shade), depthTest: !(one.found || one.selected) }));
        edges.raycast = () => {};
        box.add(edges);
        if (this.names || one.selected || one.found) box.add(this.label(one));
        this.thingGroup.add(box);
      }
      // A map without a surface has things alone.
      if (this.things?.length && !this.fitted && !this.framed) this.view("fit");
      this.framed = this.things?.length > 0;
      this.request();
    },
    label(one) {
      const element = document.createElement("div");
      element.className = "map-scene-label" + (one.selected ? " map-scene-selected" : "");
      element.textContent = one.name;
      const label = new CSS2DObject(element);
      label.position.set(0, 0, one.size[2] / 2 + 0.04);
      return label;
    },
    drawMarks() {
      if (!this.renderer) return;
      this.empty(this.markGroup);
      for (const [x, y, z, dx, dy, dz] of this.rays || []) {
        this.arrow([x, y, z], [dx, dy, dz], 2.5, RAY);
      }
      if (this.approach) {
        const { x, y, z, yaw } = this.approach;
        this.arrow([x, y, z + 0.05], [Math.cos(yaw), Math.sin(yaw), 0], 0.5, APPROACH);
        const ring = new THREE.Mesh(
          new THREE.RingGeometry(0.19, 0.23, 40),
          new THREE.MeshBasicMaterial({ color: colour(APPROACH), side: THREE.DoubleSide }));
        ring.position.set(x, y, z + 0.04);
        this.markGroup.add(ring);
      }
      if (this.place) {
        const ball = new THREE.Mesh(
          new THREE.SphereGeometry(0.04, 16, 12), new THREE.MeshBasicMaterial({ color: colour(SELECTED) }));
        ball.position.set(...this.place);
        this.markGroup.add(ball);
      }
      this.request();
    },
    arrow(origin, direction, length, shade) {
      this.markGroup.add(new THREE.ArrowHelper(
        new THREE.Vector3(...direction).normalize(), new THREE.Vector3(...origin), length, colour(shade),
        0.18, 0.12));
    },
    pick(event) {
      if (event.button !== 0 || !this.down) return;
      const moved = Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]);
      this.down = null;
      if (moved > CLICK_PIXELS) return;
      const rect = this.$refs.canvas.getBoundingClientRect();
      const at = new THREE.Vector2(
        (2 * (event.clientX - rect.left)) / rect.width - 1, 1 - (2 * (event.clientY - rect.top)) / rect.height);
      const caster = new THREE.Raycaster();
      caster.setFromCamera(at, this.camera);
      caster.params.Points.threshold = 0.03;
      const hits = caster.intersectObjects(this.thingGroup.children, false);
      // A mug on a table lies in the table's box too.
      hits.sort((a, b) => a.object.userData.volume - b.object.userData.volume);
      const points = this.points ? caster.intersectObject(this.points) : [];
      const point = points.length ? points[0].point : hits.length ? hits[0].point : null;
      if (!point) return;
      const key = hits.length && !event.shiftKey ? hits[0].object.userData.key : "";
      this.$emit("pick", { key, point: [point.x, point.y, point.z] });
    },
    bounds() {
      const box = new THREE.Box3();
      if (this.points) {
        // A few stray points do not make the room larger.
        const values = this.points.geometry.attributes.position.array, axes = [[], [], []];
        const step = 3 * Math.max(1, Math.floor(values.length / 30000));
        for (let i = 0; i < values.length; i += step) for (let a = 0; a < 3; a++) axes[a].push(values[i + a]);
        if (axes[0].length) {
          for (const one of axes) one.sort((a, b) => a - b);
          const ends = (share) => new THREE.Vector3(
            ...axes.map((one) => one[Math.round(share * (one.length - 1))]));
          box.set(ends(0.01), ends(0.99));
        }
      }
      for (const one of this.things || []) box.expandByPoint(new THREE.Vector3(...one.center));
      return box.isEmpty() ? new THREE.Box3(new THREE.Vector3(-2, -2, 0), new THREE.Vector3(2, 2, 1)) : box;
    },
    view(name) {
      if (!this.renderer) return;
      const box = this.bounds(), middle = box.getCenter(new THREE.Vector3());
      const radius = Math.max(box.getSize(new THREE.Vector3()).length() / 2, 0.3);
      const narrow = Math.min(1, this.camera.aspect);
      const distance = (0.85 * radius) / (Math.sin((Math.PI * this.camera.fov) / 360) * narrow);
      // From exactly above, up would not be known.
      const direction = { top: [0, -0.001, 1], front: [0, -1, 0.15], side: [-1, 0, 0.15] }[name];
      this.place_camera(middle, new THREE.Vector3(...(direction || [-0.55, -0.75, 0.62])), distance);
    },
    lookAt({ center, size }) {
      if (!this.renderer) return;
      const middle = new THREE.Vector3(...center);
      const direction = this.camera.position.clone().sub(this.controls.target);
      this.place_camera(middle, direction, Math.max(1.2, 4 * Math.hypot(...size)));
    },
    place_camera(middle, direction, distance) {
      this.controls.target.copy(middle);
      this.camera.position.copy(middle).addScaledVector(direction.normalize(), distance);
      this.controls.update();
      this.request();
    },
    key(event) {
      const offset = this.camera.position.clone().sub(this.controls.target);
      const turn = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
      const zoom = { "+": 0.85, "=": 0.85, "-": 1.18 };
      const views = { t: "top", f: "front", s: "side", a: "fit" };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (turn[event.key]) {
        const ball = new THREE.Spherical().setFromVector3(new THREE.Vector3(offset.x, offset.z, -offset.y));
        ball.theta += turn[event.key][0];
        ball.phi = Math.min(Math.max(ball.phi + turn[event.key][1], 0.02), 3.12);
        const turned = new THREE.Vector3().setFromSpherical(ball);
        this.place_camera(
          this.controls.target.clone(), new THREE.Vector3(turned.x, -turned.z, turned.y), offset.length());
      } else if (zoom[event.key]) {
        this.place_camera(this.controls.target.clone(), offset.clone(), offset.length() * zoom[event.key]);
      } else if (views[event.key]) {
        this.view(views[event.key]);
      } else {
        return;
      }
      event.preventDefault();
    },
    empty(group) {
      for (const one of [...group.children]) {
        one.traverse((part) => { this.release(part); part.element?.remove(); });
        group.remove(one);
      }
    },
    release(one) {
      one.geometry?.dispose();
      one.material?.dispose();
    },
  },
};
