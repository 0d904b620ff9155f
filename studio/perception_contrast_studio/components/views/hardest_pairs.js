// Wrong pairs that look most alike, with their pictures.
export default {
  template: `
    <ol class="hp">
      <li v-for="(pair, n) in pairs" :key="n">
        <div v-if="first.sheet" class="pm-tile" role="img" :aria-label="first.names[pair.row]" :style="tile(first, pair.row)"></div>
        <div v-if="second.sheet" class="pm-tile" role="img" :aria-label="second.names[pair.column]" :style="tile(second, pair.column)"></div>
        <div class="hp-text">
          <button class="hp-row" @click="$emit('row', pair.row)" :aria-label="'Show row ' + (pair.row + 1)">
            {{ pair.row + 1 }}, {{ pair.column + 1 }}</button>
          <b>{{ first.names[pair.row] }}</b> and <b>{{ second.names[pair.column] }}</b><br />
          cosine {{ pair.cosine.toFixed(3) }}; the row gives it {{ (100 * pair.probability).toFixed(1) }}%
          <span v-if="pair.near" class="hp-near">near in time or place: a false negative</span>
          <span v-else-if="pair.alike" class="hp-alike">same class or caption: a false negative</span>
        </div>
      </li>
    </ol>`,
  props: { pairs: Array, first: Object, second: Object },
  methods: {
    tile(side, number) {
      return { backgroundImage: `url(${side.sheet})`, backgroundPosition: `-${number * 96}px 0` };
    },
  },
};
