// Draws points with WebGL 2: a buffer each for where they come from, where they go, colours and marks.
const VERTEX = `#version 300 es
precision highp float;
layout(location=0) in vec3 before;
layout(location=1) in vec3 now;
layout(location=2) in vec4 colour;
layout(location=3) in float mark;
uniform mat4 view;
uniform float progress, size, dimmed;
uniform vec3 paper;
flat out vec4 tint;
void main() {
  float shape = floor(colour.a * 255.0 + 0.5);
  if (shape < 1.0) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); gl_PointSize = 1.0; return; }
  gl_Position = view * vec4(mix(before, now, progress), 1.0);
  float faded = dimmed * (1.0 - mark);
  gl_PointSize = size * (shape > 1.0 ? 1.3 : 1.0) * (1.0 - 0.25 * faded);
  tint = vec4(mix(colour.rgb, paper, 0.78 * faded), shape);
}`;
// The alpha byte of a colour is its shape, so that classes differ by more than colour.
const FRAGMENT = `#version 300 es
precision mediump float;
flat in vec4 tint;
out vec4 result;
void main() {
  vec2 p = abs(gl_PointCoord * 2.0 - 1.0);
  float side = tint.a;
  bool outside = side < 1.5 ? dot(p, p) > 1.0
    : side < 2.5 ? max(p.x, p.y) > 0.8
    : side < 3.5 ? p.x > (1.0 + gl_PointCoord.y * 2.0 - 1.0) * 0.5
    : side < 4.5 ? p.x + p.y > 1.0
    : min(p.x, p.y) > 0.3;
  if (outside) discard;
  result = vec4(tint.rgb, 1.0);
}`;
const BUFFERS = { before: 3, now: 3, colour: 4, mark: 1 };

export class PointRenderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.count = 0;
    this.arrays = {};
    this.start();
  }

  // Also after the context was lost: everything is sent again from the arrays that are kept.
  start() {
    const gl = (this.gl = this.canvas.getContext("webgl2", {
      antialias: false, alpha: false, powerPreference: "high-performance",
    }));
    if (!gl) throw new Error("This browser has no WebGL 2. Turn on hardware acceleration or use another one.");
    this.program = linked(gl);
    gl.useProgram(this.program);
    this.places = {};
    for (const name of ["view", "progress", "size", "dimmed", "paper"]) {
      this.places[name] = gl.getUniformLocation(this.program, name);
    }
    this.buffers = {};
    this.order = gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.order);
    if (this.count) this.shuffle(this.count);
    Object.keys(BUFFERS).forEach((name, place) => {
      this.buffers[name] = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(place);
      const bytes = name === "colour" || name === "mark";
      gl.vertexAttribPointer(place, BUFFERS[name], bytes ? gl.UNSIGNED_BYTE : gl.FLOAT, bytes, 0, 0);
      if (this.arrays[name]) this.send(name, this.arrays[name]);
    });
  }

  send(name, array) {
    const gl = this.gl;
    this.arrays[name] = array;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.STATIC_DRAW);
  }

  // Points are drawn in a random order, so that the first of them are a fair sample.
  shuffle(count) {
    this.count = count;
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    let state = 1;
    for (let i = count - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const other = Math.floor((state / 4294967296) * (i + 1));
      [order[i], order[other]] = [order[other], order[i]];
    }
    this.gl.bufferData(this.gl.ELEMENT_ARRAY_BUFFER, order, this.gl.STATIC_DRAW);
  }

  // progress: from 0 (``before``) to 1 (``now``). paper: RGB of the background, 0 to 1. most: points that are drawn.
  draw({ matrix, progress, size, dimmed, paper, deep, ratio, most }) {
    const gl = this.gl;
    const [width, height] = [this.canvas.width, this.canvas.height];
    gl.viewport(0, 0, width, height);
    gl.clearColor(...paper, 1);
    gl[deep ? "enable" : "disable"](gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(this.places.view, false, matrix);
    gl.uniform1f(this.places.progress, progress);
    gl.uniform1f(this.places.size, size * ratio);
    gl.uniform1f(this.places.dimmed, dimmed ? 1 : 0);
    gl.uniform3fv(this.places.paper, paper);
    const count = Math.min(this.count, most);
    if (count) gl.drawElements(gl.POINTS, count, gl.UNSIGNED_INT, 0);
  }

  // Frees the memory of the graphics card now, not when the page is collected.
  end() {
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`The picture cannot be drawn: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
