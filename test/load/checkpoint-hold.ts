// A switch for checkpoints that production code knows nothing of: a clock in which the checkpointer's pauses do not end
// while it is held. Rooms go on ticking, changing and being marked as changed; only nothing is captured, encoded or saved.
//
// The checkpointer is told from everything else that uses the clock by the async context in which its loop was begun.

import { AsyncLocalStorage } from "node:async_hooks";
import { Checkpointer } from "../../src/checkpoint/checkpointer.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";

export interface Hold {
  readonly clock: Clock;
  /** Resolves when it is so: a pass that is under way comes to its end first. */
  set(isHeld: boolean): Promise<void>;
}

/** For one node in this process; to be called before it starts. */
export function holdCheckpoints(): Hold {
  const inCheckpointer = new AsyncLocalStorage<true>();
  const { start } = Checkpointer.prototype;
  Checkpointer.prototype.start = function () {
    inCheckpointer.run(true, () => start.call(this));
  };
  let gate:
    { readonly arrived: PromiseWithResolvers<void>; readonly opened: PromiseWithResolvers<void> } | undefined;
  return {
    clock: {
      ...systemClock,
      sleep: async (ms, signal) => {
        await systemClock.sleep(ms, signal);
        if (inCheckpointer.getStore() !== true || gate === undefined) return;
        gate.arrived.resolve();
        await gate.opened.promise;
      },
    },
    set: async (isHeld) => {
      if (isHeld) {
        gate ??= { arrived: Promise.withResolvers(), opened: Promise.withResolvers() };
        await gate.arrived.promise;
      } else {
        gate?.opened.resolve();
        gate = undefined;
      }
    },
  };
}
