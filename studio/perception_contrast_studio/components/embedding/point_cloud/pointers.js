// Mouse, pen and fingers as gestures: drag, pinch, lasso, click, link from one point to another.
const CLICK_PIXELS = 4;

export class Pointers {
  // on: { drag(dx, dy, turns), pinch(factor, x, y, dx, dy), lasso(path, done), click(x, y, event),
  //       link(x, y, done), hover(x, y) or hover(null), startsLink(x, y), lassoing(event) }
  constructor(element, on) {
    this.element = element;
    this.on = on;
    this.down = new Map();
    this.gesture = null;
    this.listeners = {
      pointerdown: (e) => this.pressed(e),
      pointermove: (e) => this.moved(e),
      pointerup: (e) => this.released(e),
      pointercancel: (e) => this.released(e),
      pointerleave: () => on.hover(null),
      contextmenu: (e) => e.preventDefault(),
      wheel: (e) => this.wheeled(e),
    };
    for (const [name, call] of Object.entries(this.listeners)) {
      element.addEventListener(name, call, { passive: false });
    }
  }

  end() {
    for (const [name, call] of Object.entries(this.listeners)) this.element.removeEventListener(name, call);
  }

  at(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  pressed(event) {
    this.element.focus({ preventScroll: true });
    // Synthetic events have no pointer to capture.
    try { this.element.setPointerCapture(event.pointerId); } catch { /* nothing to capture */ }
    const place = this.at(event);
    this.down.set(event.pointerId, place);
    this.on.hover(null);
    if (this.down.size === 2) {
      if (this.gesture?.kind === "lasso") this.on.lasso(null, true);
      this.gesture = { kind: "pinch" };
      return;
    }
    const kind = this.on.lassoing(event) ? "lasso" : this.on.startsLink(...place) ? "link" : "drag";
    this.gesture = { kind, start: place, path: [place], far: false };
  }

  moved(event) {
    const place = this.at(event);
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.on.hover(...place);
      return;
    }
    const gesture = this.gesture;
    if (gesture?.kind === "pinch") this.pinched(event.pointerId, before, place);
    this.down.set(event.pointerId, place);
    if (!gesture || gesture.kind === "pinch") return;
    const [dx, dy] = [place[0] - gesture.start[0], place[1] - gesture.start[1]];
    if (!gesture.far && Math.hypot(dx, dy) < CLICK_PIXELS) return;
    const first = !gesture.far;
    gesture.far = true;
    if (gesture.kind === "drag") {
      const from = first ? gesture.start : before;
      const shifts = event.buttons & 2 || event.buttons & 4 || event.altKey;
      this.on.drag(place[0] - from[0], place[1] - from[1], !shifts);
    } else if (gesture.kind === "lasso") {
      gesture.path.push(place);
      this.on.lasso(gesture.path, false);
    } else this.on.link(...place, false);
  }

  pinched(id, before, place) {
    const other = [...this.down.entries()].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]) || 1;
    const is = Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
    const middle = [(place[0] + other[0]) / 2, (place[1] + other[1]) / 2];
    this.on.pinch(is / was, ...middle, (place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
  }

  released(event) {
    const known = this.down.delete(event.pointerId);
    const gesture = this.gesture;
    if (!known || !gesture || gesture.kind === "pinch") {
      if (!this.down.size) this.gesture = null;
      return;
    }
    this.gesture = null;
    const gone = event.type === "pointercancel";
    if (gesture.kind === "lasso") this.on.lasso(gone || !gesture.far ? null : gesture.path, true);
    else if (gesture.kind === "link" && gesture.far) this.on.link(...(gone ? [NaN, NaN] : this.at(event)), true);
    else if (!gesture.far && !gone) this.on.click(...this.at(event), event);
  }

  wheeled(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const amount = Math.max(-240, Math.min(240, event.deltaY * lines));
    this.on.pinch(Math.exp(-amount * 0.002), ...this.at(event), 0, 0);
  }
}
