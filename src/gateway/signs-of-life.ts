// Whether a player's connection still lives. Whoever says something does; only one who is silent is asked, so that a ping and
// its answer cost nothing while people play. A connection that is gone without a word is noticed 7.5 to 9 s after its last one.
//
// Looks are counted, not time: a node that stood still itself must not take that for the players' silence.

/** How often to look. Who is silent is asked at the first look that finds it, and every other one after. */
export const LOOK_EVERY_MS = 1_500;
/** Two questions, and 3 s for each answer: what Colyseus's own transport sets. */
const SILENT_LOOKS_MAX = 4;

export class SignsOfLife {
  #isHeard = true;
  #silentLooks = 0;

  /** Something has come: a message, a ping, a pong. */
  heard(): void {
    this.#isHeard = true;
  }

  /** @returns whether there is nothing to do, they are to be asked, or their connection is gone */
  look(): "nothing" | "ask" | "gone" {
    if (this.#isHeard) {
      this.#isHeard = false;
      this.#silentLooks = 0;
      return "nothing";
    }
    this.#silentLooks += 1;
    if (this.#silentLooks > SILENT_LOOKS_MAX) return "gone";
    return this.#silentLooks % 2 === 1 ? "ask" : "nothing";
  }
}
