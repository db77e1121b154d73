/**
 * How certain a value of a spec is: `likely` if the model itself, or the default of the tool that wrote a file next to it, suggests it;
 * `guessed` if it is only the usual value.
 */
export type Certainty = 'given' | 'read' | 'likely' | 'guessed';

/** One value of a spec, for people. */
export interface Finding {
  what: string;
  value: string;
  certainty: Certainty;
  /** Its source, or how to correct it. */
  from: string;
}

/** Collects what was found out about a model. */
export class Findings {
  readonly rows: Finding[] = [];

  given(what: string, value: string, flag: string): void {
    this.rows.push({ what, value, certainty: 'given', from: flag });
  }

  read(what: string, value: string, from: string): void {
    this.rows.push({ what, value, certainty: 'read', from });
  }

  likely(what: string, value: string, why: string): void {
    this.rows.push({ what, value, certainty: 'likely', from: why });
  }

  /**
   * Of a file next to the model.
   * @param whyDefault set if the file leaves the value out, and it is the default of the tool that wrote the file
   */
  written(what: string, value: string, from: string, whyDefault: string | undefined): void {
    if (whyDefault === undefined) this.read(what, value, from);
    else this.likely(what, value, whyDefault);
  }

  guessed(what: string, value: string, correction: string): void {
    this.rows.push({ what, value, certainty: 'guessed', from: correction });
  }

  /** What was guessed, and a person has now answered. */
  answered(what: string, value: string): void {
    this.rows.splice(0, this.rows.length, ...this.rows.filter((row) => row.what !== what));
    this.given(what, value, 'your answer');
  }

  /** Whether a value is only a guess. */
  isGuess(what: string): boolean {
    return this.rows.some((row) => row.what === what && row.certainty === 'guessed');
  }

  /** A table, guesses marked. */
  print(print: (line: string) => void): void {
    const width = (key: 'what' | 'value') => Math.max(...this.rows.map((row) => row[key].length));
    const [whatWidth, valueWidth] = [width('what'), Math.min(width('value'), 44)];
    for (const { what, value, certainty, from } of this.rows) {
      print(`  ${what.padEnd(whatWidth)}  ${value.padEnd(valueWidth)}  ${certainty.padEnd(7)}  ${from}`);
    }
  }
}
