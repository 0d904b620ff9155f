"""Style of the live page."""

from __future__ import annotations

LIVE_CSS = """
.live-page { display: grid; grid-template-columns: minmax(0, 1fr) 360px; gap: 12px; align-items: start; }
.live-main, .live-side { gap: 12px; min-width: 0; width: 100%; }
.live-view { width: 100%; }
.live-stage { position: relative; width: 100%; min-height: 180px; background: #111; border-radius: 8px;
  overflow: hidden; display: flex; justify-content: center; align-items: center; }
.live-stage canvas { display: block; max-width: 100%; }
.live-note { position: absolute; left: 0; right: 0; bottom: 0; padding: 10px 14px; font-size: 14px;
  background: rgba(0, 0, 0, .78); color: #fff; border-left: 4px solid #e69f00; overflow-wrap: anywhere; }
.live-stats { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 8px 2px 0; }
.live-stats div { display: flex; flex-direction: column; line-height: 1.2; min-width: 74px; }
.live-stats span { font-size: 11px; opacity: .75; }
.live-stats b { font-size: 15px; font-variant-numeric: tabular-nums; }
.live-layers { gap: 6px 16px; }
.live-chip { display: inline-flex; align-items: center; border: 1px solid rgba(128, 128, 128, .5);
  border-radius: 16px; padding: 0 2px 0 8px; max-width: 100%; }
.live-chip .q-btn__content { text-align: left; overflow-wrap: anywhere; }
.live-dot { width: 12px; height: 12px; border-radius: 50%; flex: none; margin-right: 4px;
  border: 1px solid rgba(0, 0, 0, .4); }
.live-mark { opacity: .8; padding: 0 4px; white-space: nowrap; }
.live-dialog { width: 480px; max-width: 94vw; }
.live-parameters { width: 680px; max-width: 96vw; height: 80vh; flex-wrap: nowrap; }
.live-parameter-rows { overflow-y: auto; gap: 14px; padding-right: 8px; flex: 1; }
.live-parameter { gap: 2px; border-bottom: 1px solid rgba(128, 128, 128, .25); padding-bottom: 8px; }
.live-modes .q-btn { padding: 4px 14px; }
/* The blue of the light page is too dark on a dark one. */
.live-chips { gap: 6px; }
@media (max-width: 900px) {
  .live-page { display: flex; flex-direction: column; }
  .live-main, .live-side { display: contents; }
  .live-first { order: -1; }
  .live-last { order: 1; }
}
"""
