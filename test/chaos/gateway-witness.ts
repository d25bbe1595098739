// What a gateway of the chaos run lets through to its players, written down by the gateway's own process: which room, which
// epoch, which way. The epoch is read off the link's own frame, not taken from what the gateway makes of it, so that a gateway
// that lets through what it should not says so itself.
//
// It changes nothing; and it is in place before a node starts, because the game is loaded first (src/main.ts). A line is
// written as it happens, so that nothing is missing when the process is killed.

import { openSync, writeSync } from "node:fs";
import { Protocol } from "@colyseus/core";
import { KIND, LinkReader, type Frame } from "../../src/gateway/link-frames.ts";
import { Outbox } from "../../src/gateway/outbox.ts";
import { Player } from "../../src/gateway/player.ts";
import { systemClock } from "../../src/runtime/clock.ts";

/** One process of one round writes a few; a test that runs wild must not fill the disk. */
const LINES_MAX = 2_000_000;
/** The last line of a log that is not whole. */
export const IS_FULL = "full";

/** From now on every message that reaches a player's socket here is a line in `path`. */
export function watchGateway(path: string): void {
  const file = openSync(path, "a");
  let lines = 0;
  /** The message of an owner that is being dealt with: what is delivered meanwhile is what it says. */
  let underWay: Frame | undefined;
  /** When the code that runs now began to speak: it has asked the lease before, and may be frozen between two players. */
  let speaksSince: number | undefined;
  const epochOf = new WeakMap<Player, number>();
  const playerOf = new WeakMap<Outbox, Player>();
  const note = (player: Player, code: number | undefined): void => {
    if (player.isGone || lines >= LINES_MAX) return;
    const way = underWay === undefined ? "here" : "link";
    const epoch = underWay?.epoch ?? epochOf.get(player) ?? 0;
    lines += 1;
    if (speaksSince === undefined) {
      speaksSince = systemClock.nowMs();
      queueMicrotask(() => (speaksSince = undefined));
    }
    const line = [speaksSince, player.roomId, epoch, player.sessionId, code, way].join(" ");
    writeSync(file, `${lines < LINES_MAX ? line : IS_FULL}\n`);
  };

  // oxlint-disable typescript/unbound-method -- each is called with its own `this`
  const { push } = LinkReader.prototype;
  const { placed, deliver } = Player.prototype;
  const { patch } = Outbox.prototype;
  // oxlint-enable typescript/unbound-method

  LinkReader.prototype.push = function (this: LinkReader, chunk, take) {
    push.call(this, chunk, (frame) => {
      underWay = frame.kind === KIND.down ? frame : undefined;
      try {
        take(frame);
      } finally {
        underWay = undefined;
      }
    });
  };

  Player.prototype.placed = function (this: Player, ...told) {
    const [, epoch] = told;
    epochOf.set(this, epoch);
    playerOf.set(this.outbox, this);
    placed.apply(this, told);
  };

  Player.prototype.deliver = function (this: Player, ...told) {
    note(this, told[0][0]);
    deliver.apply(this, told);
  };

  // Patches go past the player, straight to what waits for them.
  Outbox.prototype.patch = function (this: Outbox, framed) {
    const player = playerOf.get(this);
    if (player !== undefined) note(player, Protocol.ROOM_STATE_PATCH);
    patch.call(this, framed);
  };
}
