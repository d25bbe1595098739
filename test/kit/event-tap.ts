// The events of node processes, as they come. A test arms its wait first, acts, then awaits: nothing can be missed in
// between, and nothing sleeps.

import type { EventName, Events } from "../../src/events.ts";

export interface Heard<Name extends EventName = EventName> {
  readonly nodeId: string;
  readonly event: Name;
  readonly facts: Events[Name];
  /** Wall time at the node, ms since 1970. */
  readonly at: number;
}

interface Wait {
  readonly event: EventName;
  readonly accept: (heard: Heard) => boolean;
  readonly resolve: (heard: Heard) => void;
}

export class EventTap {
  readonly all: Heard[] = [];
  #waits: Wait[] = [];

  hear(heard: Heard): void {
    this.all.push(heard);
    const done = this.#waits.filter((wait) => wait.event === heard.event && wait.accept(heard));
    this.#waits = this.#waits.filter((wait) => !done.includes(wait));
    for (const wait of done) wait.resolve(heard);
  }

  /** All events of a name so far. */
  of<Name extends EventName>(event: Name): Heard<Name>[] {
    return this.all.filter((heard): heard is Heard<Name> => heard.event === event);
  }

  /**
   * The next event of this name that `accept` takes, from now on.
   *
   * @throws after `ms`, telling what was heard instead
   */
  next<Name extends EventName>(
    event: Name,
    accept: (facts: Events[Name], nodeId: string) => boolean = () => true,
    ms = 20_000,
  ): Promise<Heard<Name>> {
    const from = this.all.length;
    const heard = new Promise<Heard<Name>>((resolve, reject) => {
      const wait: Wait = {
        event,
        // Only events of this name are offered to it.
        accept: (heard) => accept(heard.facts as Events[Name], heard.nodeId),
        resolve: (heard) => {
          clearTimeout(timer);
          resolve(heard as Heard<Name>);
        },
      };
      const timer = setTimeout(() => {
        this.#waits = this.#waits.filter((other) => other !== wait);
        const since = this.all
          .slice(from)
          .map((heard) => `${heard.nodeId} ${heard.event} ${JSON.stringify(heard.facts)}`);
        reject(
          new Error(
            `no ${event} within ${ms} ms; heard instead:\n${since.slice(-30).join("\n") || "nothing"}`,
          ),
        );
      }, ms);
      this.#waits.push(wait);
    });
    // A test that fails before it awaits this has told what went wrong already.
    heard.catch(() => {});
    return heard;
  }
}
