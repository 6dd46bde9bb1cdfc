// The time, as far as it is shown: it moves every ten seconds.

class Ticking {
  now = $state(Date.now());

  constructor() {
    setInterval(() => (this.now = Date.now()), 10_000);
  }
}

export const ticking = new Ticking();
