// What a page reads and does: whether it reads, whether it works, what went wrong and what went well.

export class Busy {
  /** Nothing was read yet. */
  loading = $state(true);
  /** Something is being done. */
  busy = $state(false);
  error = $state<unknown>(null);
  /** The words for what went well, by their key. */
  said = $state("");
  #reads: () => Promise<unknown>;

  /** `reads` gets what the page shows: once it is asked for, and again after everything that is done. */
  constructor(reads: () => Promise<unknown> = () => Promise.resolve()) {
    this.#reads = reads;
  }

  /** Reads what the page shows, or this instead: more of it. */
  read = async (reads = this.#reads): Promise<void> => {
    try {
      await reads();
      this.error = null;
    } catch (failure) {
      this.error = failure;
    }
    this.loading = false;
  };

  /** Does something, alone, and reads anew; says whether it went well. */
  run = async (work: () => Promise<unknown>, said = ""): Promise<boolean> => {
    if (this.busy) return false;
    this.busy = true;
    this.error = null;
    this.said = "";
    try {
      await work();
      await this.#reads();
      this.said = said;
      return true;
    } catch (failure) {
      this.error = failure;
      return false;
    } finally {
      this.busy = false;
    }
  };
}
