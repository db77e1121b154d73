/** Vitest's own report, and after each file how many are done: people who wait see how long it will take. */
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
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') this.#passed++;
      if (state === 'failed') this.#failed++;
    }
    const seconds = Math.round((Date.now() - this.#startedAt) / 1000);
    this.log(
      `   ${this.#done} of ${this.#total} files, ${this.#passed} tests passed, ${this.#failed} failed, ${seconds} s`,
    );
  }
}
