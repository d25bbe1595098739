// Makes an ordinary room class one that Ringside can host, by a subclass whose instances have their hooks wrapped.
// The author's class is not touched: it runs the same on a plain Colyseus server.
//
// What a wrapped room does differently, and nothing else:
// - it ticks, patches and hears its players only while its activation may act, and its hooks wait as long (OWN4);
// - where its author says nothing of broken connections, it keeps the seat of a player who may try to come back;
// - a player's seat is durable before they are told of having joined (SEAT1), and a connection that breaks right after
//   that, or in the middle of coming back, is a drop like any other;
// - a seat opens to the newest reconnection token, which changes at each use (SEAT3), and the newest connection has it;
// - whoever is told the full state between two patches hears nothing of it twice (GATE6);
// - what the author's code throws stays in the room (ROOM1).

import { Room, type Client, type ClientPrivate, type FixedTimestepCallback } from "@colyseus/core";
import type { RoomLogins } from "../auth/room-auth.ts";
import { ERRORS } from "../errors.ts";
import { tellNothingTwice } from "./between-patches.ts";
import { shareFullStates, statesMayChange } from "./full-states.ts";
import { withLogin, wrapLogins } from "./hosted-logins.ts";
import { keepSeats, mayKeepSeats, wrapDrops, wrapEnd, type RoomClass } from "./hosted-seats.ts";
import { inputShapeOf, isInput, isWellFormed, type InputShape } from "./input-frame.ts";
import { hasReadableType } from "./message-type.ts";
import { override, untilOwned } from "./override.ts";
import { isJoin } from "./player-frames.ts";
import type { RoomGuard } from "./room-guard.ts";
import { hasUnsentChanges, internals } from "./room-internals.ts";
import { wrapReturns } from "./seat-return.ts";
import { asServerError } from "./server-error.ts";

/**
 * A subclass of `Authored` whose instances answer to `guard`. Its name is the author's, for logs.
 *
 * @param logins where players are signed in
 */
export function hostedClass(Authored: RoomClass, guard: RoomGuard, logins?: RoomLogins): RoomClass {
  const Hosted = class extends Authored {
    constructor() {
      super();
      wrapHooks(this, guard);
      wrapTime(this, guard);
      wrapMessages(this, guard);
      wrapDrops(this, guard);
      wrapReturns(this, guard);
      shareFullStates(this);
      tellNothingTwice(this);
      wrapEnd(this, guard);
      if (logins !== undefined) wrapLogins(this, logins);
      if (this.onDrop === undefined && !mayKeepSeats(Authored)) keepSeats(this, guard);
    }
  };
  const { onAuth } = Authored as unknown as typeof Room; // a room's class is a subclass of it
  if (logins !== undefined && onAuth !== Room.onAuth) {
    Object.defineProperty(Hosted, "onAuth", { value: withLogin(onAuth, logins) });
  }
  Object.defineProperty(Hosted, "name", { value: Authored.name });
  return Hosted;
}

function wrapHooks(room: Room, guard: RoomGuard): void {
  const { onCreate, onJoin, onReconnect, onLeave, onDrop, onBeforePatch } = room;

  override(room, "onCreate", async (options: Record<string, unknown>) => {
    try {
      await guard.open(room, options, async (given) => {
        await onCreate?.call(room, given);
      });
    } catch (error) {
      throw asServerError(error);
    }
  });

  override(room, "onJoin", async (client: Client, options: unknown, auth: unknown) => {
    const waiting = untilOwned(room, guard);
    if (waiting !== undefined) await waiting;
    statesMayChange();
    guard.joining(room, client);
    try {
      await onJoin?.call(room, client, options, auth);
      await guard.joined(room, client, options);
    } catch (error) {
      await guard.left(room, client.sessionId);
      throw error; // Colyseus tells the client
    }
  });

  override(room, "onReconnect", async (client: Client) => {
    const waiting = untilOwned(room, guard);
    if (waiting !== undefined) await waiting;
    const unknown = await guard.reconnected(room, client);
    statesMayChange();
    if (unknown === undefined) {
      if (room.clients.get(client.sessionId) === client) await onReconnect?.call(room, client);
      return; // a newer connection has their seat by now
    }
    // The restored state never heard of this player: they joined after it was saved. So they join again.
    try {
      await onJoin?.call(room, client, unknown.options, client.auth);
    } finally {
      guard.rejoined(room, client);
    }
  });

  // Colyseus awaits these two after a drop without a catch of its own.
  for (const [name, hook] of [
    ["onLeave", onLeave],
    ["onDrop", onDrop],
  ] as const) {
    if (hook === undefined) continue;
    override(room, name, async (client: Client, code?: number) => {
      const waiting = untilOwned(room, guard);
      if (waiting !== undefined) await waiting;
      statesMayChange();
      try {
        await hook.call(room, client, code);
      } catch (error) {
        guard.threw(room, name, error);
      }
    });
  }
  internals(room)._events.on("leave", (client: Client) => void guard.left(room, client.sessionId));

  // The last moment before changes are encoded and forgotten.
  override(room, "onBeforePatch", (state: unknown) => {
    try {
      const result: unknown = onBeforePatch?.call(room, state as never);
      if (result instanceof Promise)
        result.catch((error: unknown) => guard.threw(room, "onBeforePatch", error));
    } catch (error) {
      guard.threw(room, "onBeforePatch", error);
    }
    if (hasUnsentChanges(room)) guard.changed(room);
  });
}

function wrapTime(room: Room, guard: RoomGuard): void {
  const { setTimestep, setFixedTimestep, broadcastPatch } = room;

  const whileActing = <Argument>(work: (argument: Argument) => unknown) => {
    return (argument: Argument): void => {
      if (!guard.mayAct(room)) return;
      try {
        const result = work(argument);
        if (result instanceof Promise) result.catch((error: unknown) => guard.threw(room, "tick", error));
      } catch (error) {
        guard.threw(room, "tick", error);
      }
    };
  };

  // setSimulationInterval calls setTimestep.
  override(room, "setTimestep", (tick: ((deltaMs: number) => unknown) | undefined, everyMs?: number) =>
    setTimestep.call(room, tick && whileActing(tick), everyMs),
  );
  override(
    room,
    "setFixedTimestep",
    (step: FixedTimestepCallback, ...rest: [number?, { subSteps?: number }?]) =>
      setFixedTimestep.call(room, whileActing(step), ...rest),
  );
  override(room, "broadcastPatch", () => {
    if (!guard.mayAct(room)) return false; // the changes stay, for the first patch after it may act again
    try {
      return broadcastPatch.call(room);
    } catch (error) {
      guard.threw(room, "broadcastPatch", error);
      return false;
    }
  });

  const { clock } = room;
  const tickClock = clock.tick.bind(clock);
  clock.tick = () => {
    if (!guard.mayAct(room)) return;
    try {
      tickClock();
    } catch (error) {
      guard.threw(room, "timer", error);
    }
  };
}

function wrapMessages(room: Room, guard: RoomGuard): void {
  const inside = internals(room);
  const { _onMessage } = inside;
  let shape: InputShape | undefined;

  override(room, "_onMessage", (client: Client & ClientPrivate, bytes: Buffer) => {
    if (!guard.mayAct(room)) {
      guard.hold(room, client, bytes);
      return;
    }
    // The gateways count (message-budget.ts). What was held back while the room moved is heard at once, and is no flood.
    client._numMessagesLastSecond = 0;
    if (isInput(bytes)) shape ??= inputShapeOf(room);
    if (!(isInput(bytes) ? shape === undefined || isWellFormed(bytes, shape) : hasReadableType(bytes))) {
      client.leave(ERRORS.BAD_REQUEST.close, ERRORS.BAD_REQUEST.text);
      return;
    }
    if (!isJoin(bytes)) statesMayChange();
    try {
      _onMessage.call(room, client, bytes);
    } catch (error) {
      guard.threw(room, "onMessage", error);
    }
  });
}
