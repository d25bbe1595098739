// How many connections there are, in all and from each address.

export interface ConnectionBounds {
  readonly connectionsMax: number;
  /** 0: no bound. */
  readonly connectionsPerAddressMax: number;
}

export class Connections {
  readonly #bounds: ConnectionBounds;
  readonly #byAddress = new Map<string, number>();
  #all = 0;

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#all;
  }

  /**
   * Counts one more.
   *
   * @param address undefined where it says nothing of who is there
   * @returns the function that counts it off again, and may be called twice; or which bound it is beyond
   */
  enter(address: string | undefined): (() => void) | "all" | "address" {
    const { connectionsMax, connectionsPerAddressMax } = this.#bounds;
    if (this.#all >= connectionsMax) return "all";
    const own = address === undefined ? 0 : (this.#byAddress.get(address) ?? 0);
    if (address !== undefined && connectionsPerAddressMax > 0 && own >= connectionsPerAddressMax) {
      return "address";
    }
    this.#all += 1;
    if (address !== undefined) this.#byAddress.set(address, own + 1);
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#all -= 1;
      if (address === undefined) return;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#byAddress.set(address, left);
      else this.#byAddress.delete(address);
    };
  }
}
