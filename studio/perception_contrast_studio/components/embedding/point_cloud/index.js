export { Camera } from "./camera.js";
export { FrameTimes } from "./frame_times.js";
export { PointRenderer } from "./point_renderer.js";
export { Pointers } from "./pointers.js";
export { nearest, projected, within } from "./picking.js";
