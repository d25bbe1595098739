// Seeds that once failed, each with what it showed. What a seed does changes with the simulator and with the product; so what it
// showed is also kept as a sabotage (sabotages.ts), which these seeds find out when it is put back.

export interface Regression {
  readonly seed: number;
  readonly showed: string;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    seed: 2,
    showed:
      "a node went on by promises that it had got before Postgres told it of a node which had promised nothing",
  },
  {
    seed: 5,
    showed:
      "a node that started over at its former port took links meant for its former incarnation for its own",
  },
  {
    seed: 12,
    showed:
      "a node that was frozen with a renewal under way counted the freeze as time in which Postgres answered",
  },
];
