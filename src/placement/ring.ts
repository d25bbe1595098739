// The ring: which node *should* own a room. Computed, the same on every node with the same view, for a moment possibly
// out of date. Who *does* own it stands in Postgres (see ownership/).

import HashRing from "hashring";
import type { RoomId } from "../ids.ts";
import type { Member, View } from "../membership/view.ts";

/** 160 virtual nodes keep the shares of five nodes within 19.4 and 20.5 %; the library's 40 give 18 to 23 %. */
const VIRTUAL_NODES = 160;
/** Answers that are kept: each is a hash, and recovery asks for the same rooms again and again. */
const KNOWN_MAX = 20_000;

export class Ring {
  readonly #members: ReadonlyMap<string, Member>;
  readonly #ring: HashRing;
  readonly #known = new Map<RoomId, Member | undefined>();

  /** Members that are draining, or take no rooms, are not on the ring. Of two incarnations of one name the newer is. */
  constructor(view: View) {
    this.#members = new Map(view.members.filter(takesRooms).map((member) => [member.nodeId, member]));
    this.#ring = new HashRing([...this.#members.keys()], "md5", { "vnode count": VIRTUAL_NODES });
  }

  /** Who should own this room; undefined when no node is up. */
  memberFor(roomId: RoomId): Member | undefined {
    if (this.#members.size === 0) return undefined; // the library would answer undefined too, untyped
    const known = this.#known.get(roomId);
    if (known !== undefined) return known;
    const member = this.#members.get(this.#ring.get(roomId));
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(roomId, member);
    return member;
  }
}

function takesRooms({ roles, state }: Member): boolean {
  return state === "up" && roles?.includes("rooms") !== false;
}
