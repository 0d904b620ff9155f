// The source with the crops of its views drawn on it, and each view with the steps that made it.
export default {
  template: `
    <div class="vg">
      <div class="vg-sources">
        <figure v-for="(source, s) in sources" :key="s" class="vg-source">
          <div class="vg-frame">
            <img :src="source.url" :alt="source.alt" />
            <svg :viewBox="'0 0 1000 ' + tall(source)" aria-hidden="true">
              <g v-for="(view, v) in views.filter((one) => one.source === s)" :key="v"
                 :class="{ 'vg-faint': lit !== null && lit !== view.title }">
                <rect :x="view.box[0] * 1000" :y="view.box[1] * tall(source)" :width="view.box[2] * 1000"
                      :height="view.box[3] * tall(source)" fill="none" stroke="#000" stroke-opacity=".6" stroke-width="9" />
                <rect :x="view.box[0] * 1000" :y="view.box[1] * tall(source)" :width="view.box[2] * 1000"
                      :height="view.box[3] * tall(source)" fill="none" :stroke="view.colour" stroke-width="5"
                      :stroke-dasharray="view.small ? '14 8' : ''" />
                <text :x="view.box[0] * 1000 + 10" :y="named(view, v, source)" :fill="view.colour"
                      class="vg-name">{{ view.title }}</text>
              </g>
            </svg>
          </div>
          <figcaption>{{ source.alt }}</figcaption>
        </figure>
      </div>
      <div class="vg-large">
        <section v-for="view in views.filter((one) => !one.small)" :key="view.title" class="vg-view"
                 :style="{ borderColor: view.colour }" @mouseenter="lit = view.title" @mouseleave="lit = null">
          <h3><span class="vg-chip" :style="{ background: view.colour }"></span>{{ view.title }}
            <span v-if="view.cosine !== null" class="vg-cosine">cosine with the source {{ said(view.cosine) }}</span></h3>
          <img class="vg-final" :src="final(view)" :alt="view.title + ', as the encoder gets it'" />
          <ol class="vg-steps">
            <li v-for="(step, n) in view.steps" :key="n" :class="{ 'vg-out': !step.url }">
              <img v-if="step.url" :src="step.url" :alt="view.title + ' after ' + step.label" />
              <div v-else class="vg-none">left out<br />by chance</div>
              <div class="vg-label">{{ n + 1 }}. {{ step.label }}</div>
              <div class="vg-detail">{{ step.detail }}</div>
              <div v-if="step.cosine !== null" class="vg-bar" :title="'cosine with the image before: ' + said(step.cosine)">
                <span :style="{ width: 100 * Math.max(0, step.cosine) + '%' }"></span><b>{{ said(step.cosine) }}</b>
              </div>
            </li>
          </ol>
        </section>
      </div>
      <div v-if="views.some((one) => one.small)" class="vg-small">
        <figure v-for="view in views.filter((one) => one.small)" :key="view.title"
                @mouseenter="lit = view.title" @mouseleave="lit = null">
          <img :src="final(view)" :alt="view.title" :style="{ borderColor: view.colour }" />
          <figcaption>{{ view.title }}<br /><span v-if="view.cosine !== null">{{ said(view.cosine) }}</span></figcaption>
        </figure>
      </div>
    </div>`,
  props: { sources: Array, views: Array },
  data() {
    return { lit: null };
  },
  methods: {
    tall(source) {
      return (1000 * source.height) / source.width;
    },
    // Corners of two crops often coincide: names stand above in one and below in the next.
    named(view, number, source) {
      const top = view.box[1] * this.tall(source);
      return number % 2 ? top + view.box[3] * this.tall(source) - 14 : top + 34;
    },
    said(value) {
      return value.toFixed(3);
    },
    final(view) {
      const shown = view.steps.filter((step) => step.url && step.name !== "masked");
      return shown.length ? shown[shown.length - 1].url : "";
    },
  },
};
