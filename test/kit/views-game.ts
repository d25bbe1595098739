// A card game in which nobody sees everything: hands, a plan that a view's tag shows, and cards on the table face down.
// What a player may see is set in onJoin and by messages, never in onReconnect; "anew" is the room that does it there too.

import { defineRoom, Room, type Client } from "@colyseus/core";
import { schema, StateView, t } from "@colyseus/schema";
import { defineCluster } from "../../src/index.ts";

const PLAN = 1;

const Card = schema({ face: t.string(), marks: t.array("string") }, "ViewsCard");
const Seat = schema(
  { name: t.string(), plan: t.string().view(PLAN), hand: t.array(Card).view() },
  "ViewsSeat",
);
const Table = schema(
  { seats: t.map(Seat), table: t.map(Card).view(), turn: t.uint32().default(0) },
  "ViewsTable",
);

class ViewsRoom extends Room<{ state: InstanceType<typeof Table> }> {
  override state = new Table();
  override autoDispose = false;

  override messages = {
    /** A card for one's own hand. */
    draw: (client: Client, face: string) => {
      const card = new Card({ face, marks: [`${face} mark`] });
      this.#seatOf(client).hand.push(card);
      client.view?.add(card);
      this.state.turn += 1;
    },
    /** A card on the table, face down. */
    lay: (_client: Client, face: string) => {
      this.state.table.set(face, new Card({ face, marks: [] }));
      this.state.turn += 1;
    },
    mark: (_client: Client, [face, mark]: [string, string]) => {
      const hands = [...this.state.seats.values()].flatMap((seat) => [...seat.hand]);
      [...this.state.table.values(), ...hands].find((card) => card.face === face)?.marks.push(mark);
      this.state.turn += 1;
    },
    plan: (client: Client, plan: string) => {
      this.#seatOf(client).plan = plan;
      this.state.turn += 1;
    },
    // From here on: what changes a view, and nothing else.
    peek: (client: Client, face: string) => {
      const card = this.state.table.get(face);
      if (card !== undefined) client.view?.add(card);
      return true;
    },
    unpeek: (client: Client, face: string) => {
      const card = this.state.table.get(face);
      if (card !== undefined) client.view?.remove(card);
      return true;
    },
  };

  override onJoin(client: Client, { name }: { name: string }): void {
    const seat = new Seat({ name, plan: `${name}'s plan` });
    this.state.seats.set(client.sessionId, seat);
    this.show(client);
  }

  protected show(client: Client): void {
    const view = new StateView();
    client.view = view;
    view.add(this.#seatOf(client), PLAN);
  }

  #seatOf({ sessionId }: Client): InstanceType<typeof Seat> {
    const seat = this.state.seats.get(sessionId);
    if (seat === undefined) throw new Error(`no seat for ${sessionId}`);
    return seat;
  }
}

/** As authors had to write it before views were kept. What a player had peeked at is gone when they return. */
class AnewRoom extends ViewsRoom {
  override onReconnect(client: Client): void {
    this.show(client);
  }
}

export default defineCluster({ rooms: { views: defineRoom(ViewsRoom), anew: defineRoom(AnewRoom) } });
