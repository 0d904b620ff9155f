// Where the points are seen from. In 2D it shifts and scales; in 3D it also turns around its centre.
const MARGIN = 1.08;
// Distance of the eye in data units: the points lie within -1 to 1, so all of them are in front of it.
const DISTANCE = 4;
const NEAR = 0.05;
const FAR = 40;
const ZOOM = [0.2, 4000];

export class Camera {
  constructor() {
    this.dimensions = 2;
    this.width = this.height = 1;
    this.fit();
  }

  fit() {
    this.centre = [0, 0, 0];
    this.zoom = 1;
    this.yaw = 0.6;
    this.pitch = 0.4;
  }

  // CSS pixels of a data unit at the centre.
  get scale() {
    return (this.zoom * Math.min(this.width, this.height)) / (2 * MARGIN);
  }

  // Rows: right, up and towards the eye, in data units.
  axes() {
    if (this.dimensions === 2) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
    const cy = Math.cos(this.yaw), sy = Math.sin(this.yaw);
    const cp = Math.cos(this.pitch), sp = Math.sin(this.pitch);
    return [cy, 0, -sy, -sy * sp, cp, -cy * sp, sy * cp, sp, cy * cp];
  }

  // Data to clip coordinates, column by column.
  matrix() {
    const flat = this.dimensions === 2;
    const [a, c] = [this.axes(), this.centre];
    const depth = flat ? 1 : DISTANCE;
    const sx = (2 * this.scale * depth) / this.width, sy = (2 * this.scale * depth) / this.height;
    const shift = (row) => -(a[3 * row] * c[0] + a[3 * row + 1] * c[1] + a[3 * row + 2] * c[2]);
    const m = new Float32Array(16);
    const far = (FAR + NEAR) / (FAR - NEAR);
    for (let column = 0; column < 3; column++) {
      m[4 * column] = sx * a[column];
      m[4 * column + 1] = sy * a[3 + column];
      m[4 * column + 2] = flat ? 0 : -far * a[6 + column];
      m[4 * column + 3] = flat ? 0 : -a[6 + column];
    }
    m[12] = sx * shift(0);
    m[13] = sy * shift(1);
    m[14] = flat ? 0 : far * (DISTANCE - shift(2)) - (2 * FAR * NEAR) / (FAR - NEAR);
    m[15] = flat ? 1 : DISTANCE - shift(2);
    return m;
  }

  // By CSS pixels, so that what is under the pointer stays there.
  pan(dx, dy) {
    const a = this.axes();
    const [right, up] = [-dx / this.scale, dy / this.scale];
    for (let i = 0; i < 3; i++) this.centre[i] += right * a[i] + up * a[3 + i];
  }

  turn(dx, dy) {
    this.yaw -= dx * 0.008;
    this.pitch = Math.max(-1.55, Math.min(1.55, this.pitch + dy * 0.008));
  }

  // x, y: the place that stays, CSS pixels from the top left.
  zoomAt(factor, x, y) {
    const zoom = Math.max(ZOOM[0], Math.min(ZOOM[1], this.zoom * factor));
    const real = zoom / this.zoom;
    const [dx, dy] = [x - this.width / 2, y - this.height / 2];
    this.zoom = zoom;
    this.pan(dx * (1 - real), dy * (1 - real));
  }
}
