/**
 * Vitest's own report, and after each file how many are done: people who wait see how long it will take. Also why tests are skipped that say so
 * in their names: `… (needs ../shared/images)`.
 */
import { DefaultReporter, type TestModule, type TestSpecification } from 'vitest/node';

export default class ProgressReporter extends DefaultReporter {
  #total = 0;
  #done = 0;
  #passed = 0;
  #failed = 0;
  #startedAt = 0;

  override onTestRunStart(specifications: readonly TestSpecification[]): void {
    this.#startedAt = Date.now();
    this.#total = specifications.length;
    super.onTestRunStart(specifications);
    this.log(`${this.#total} test files`);
  }

  override onTestModuleEnd(module: TestModule): void {
    super.onTestModuleEnd(module);
    this.#done++;
    const skipped = new Map<string, number>();
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      const [, missing] = /\(needs ([^)]+)\)/.exec(test.fullName) ?? [];
      if (state === 'skipped' && missing) skipped.set(missing, (skipped.get(missing) ?? 0) + 1);
      if (state === 'passed') this.#passed++;
      if (state === 'failed') this.#failed++;
    }
    for (const [missing, count] of skipped) this.log(`   skipped because ${missing} is missing: ${count}`);
    const seconds = Math.round((Date.now() - this.#startedAt) / 1000);
    this.log(
      `   ${this.#done} of ${this.#total} files, ${this.#passed} tests passed, ${this.#failed} failed, ${seconds} s`,
    );
  }
}
