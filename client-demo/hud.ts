// What is written over and beside the arena: scores, the clock, the winner, and why nothing moves.

import { ROUND, TICK_MS } from "../rooms/arena/arena-field.ts";
import { byId, element, setText } from "./page.ts";
import { lookColour } from "./palette.ts";
import { ranking, type Picture, type PlayerPicture } from "./picture.ts";

const LEADERS_SHOWN = 3;

export class Hud {
  #rows = new Map<string, HTMLElement>();
  #leaders = new Map<string, HTMLElement>();

  show(picture: Picture, ownKey: string): void {
    const players = ranking(picture, ownKey);
    fill(byId("scores"), this.#rows, players, picture, ownKey);
    const leaders = players.slice(0, LEADERS_SHOWN);
    const own = players.find((player) => player.key === ownKey);
    if (own !== undefined && !leaders.includes(own)) leaders.push(own);
    fill(byId("leaders"), this.#leaders, leaders, picture, ownKey);

    const leftSeconds = Math.ceil((picture.leftTicks * TICK_MS) / 1_000);
    const clock = byId("clock");
    const isPlay = picture.phase === "play";
    const isRush = isPlay && picture.leftTicks <= ROUND.rushTicks;
    clock.classList.toggle("is-rush", isRush);
    const time = `${Math.floor(leftSeconds / 60)}:${String(leftSeconds % 60).padStart(2, "0")}`;
    if (clock.childElementCount === 0) clock.append(element("b"), element("span"));
    setText(clock.firstElementChild, isPlay ? time : `0:0${Math.min(9, leftSeconds)}`);
    const note = isRush ? "crown pays double" : `round ${picture.round}`;
    setText(clock.lastElementChild, isPlay ? note : "next round");
    this.#showPodium(picture, ownKey);
  }

  /** Says why nothing moves; undefined when all is well. */
  showAway(text: string | undefined): void {
    const away = byId("away");
    away.hidden = text === undefined;
    document.body.classList.toggle("is-away", text !== undefined);
    if (text === undefined) return;
    if (away.childElementCount === 0) away.append(element("i"), element("span"));
    setText(away.lastElementChild, text);
  }

  #showPodium(picture: Picture, ownKey: string): void {
    const podium = byId("podium");
    podium.hidden = picture.phase !== "podium";
    if (podium.hidden) return;
    const winner = picture.players.get(picture.winnerKey);
    const isOwn = picture.winnerKey === ownKey;
    if (podium.childElementCount === 0) podium.append(element("small"), element("strong"), element("span"));
    const [small, strong, line] = podium.children;
    setText(small, `Round ${picture.round}`);
    setText(strong, isOwn ? "You win" : `${picture.winnerName} wins`);
    setText(line, winner === undefined ? "" : `${winner.score} points · ${winner.wins} won in all`);
  }
}

function fill(
  list: HTMLElement,
  rows: Map<string, HTMLElement>,
  players: readonly PlayerPicture[],
  picture: Picture,
  ownKey: string,
): void {
  for (const [key, row] of rows) {
    if (players.some((player) => player.key === key)) continue;
    row.remove();
    rows.delete(key);
  }
  players.forEach((player, index) => {
    let row = rows.get(player.key);
    if (row === undefined) {
      row = element("li");
      row.append(element("i"), element("span"), element("em"), element("b"));
      rows.set(player.key, row);
    }
    const [dot, name, note, score] = row.children;
    (dot as HTMLElement).style.background = player.key === ownKey ? "#fff" : lookColour(player.look);
    setText(name, player.name);
    setText(
      note,
      player.isAway ? "away" : player.isBot ? "bot" : player.wins > 0 ? `${player.wins} won` : "",
    );
    setText(score, String(player.score));
    row.className = [
      player.key === ownKey ? "is-own" : "",
      player.isAway ? "is-gone" : "",
      picture.crown.holder === player.key ? "has-crown" : "",
    ].join(" ");
    // Moved only when out of place: moving all rows with each patch would restart their transitions.
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
}
