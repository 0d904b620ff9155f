// How long pictures take, for measurements: window.__pointCloudStats.
const MOST = 2000;

// Above this, in ms, the eye sees a drag stutter; below the other there is time for more points.
const SLOW = 30;
const QUICK = 18;
const LEAST_POINTS = 8000;

export class FrameTimes {
  constructor() {
    // intervals: ms between pictures that follow each other without a pause; first: ms from the page's start.
    this.stats = { first: null, count: 0, drawn: 0, moving: 0, pictures: 0, intervals: [] };
    window.__pointCloudStats = this.stats;
    this.last = null;
    // Points of a picture while the view moves: as many as the machine draws without stutter.
    this.budget = Infinity;
    this.slow = 0;
  }

  adapt(interval, count) {
    this.slow = interval > SLOW ? this.slow + 1 : 0;
    if (this.slow > 1) {
      this.budget = Math.max(LEAST_POINTS, Math.min(this.budget, count) / 2);
      this.slow = 0;
    } else if (interval < QUICK && this.budget < count) this.budget *= 1.1;
  }

  // count: points there are; drawn: those of this picture.
  drawn(count, goesOn, drawn) {
    const now = performance.now();
    this.stats.drawn = drawn;
    if (goesOn) this.stats.moving = drawn;
    this.stats.pictures++;
    this.stats.count = count;
    if (this.stats.first === null && count > 0) this.stats.first = now;
    if (this.last !== null) {
      if (this.stats.intervals.length >= MOST) this.stats.intervals.shift();
      this.stats.intervals.push(now - this.last);
      this.adapt(now - this.last, count);
    }
    this.last = goesOn ? now : null;
  }
}
