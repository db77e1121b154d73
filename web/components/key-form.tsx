import { type FormEvent, useState } from 'react';

export interface KeyFormProps {
  /** Why the previous key is no longer valid. */
  refusal: string | undefined;
  /** Asks the server. Returns why it refuses the key, or undefined if the key is valid. */
  check(key: string): Promise<string | undefined>;
  onKey(key: string): void;
}

/** Asks the user for an API key, if the server requires one. */
export function KeyForm({ refusal, check, onKey }: KeyFormProps) {
  const [problem, setProblem] = useState(refusal);
  const [isChecking, setChecking] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const key = String(new FormData(event.currentTarget).get('key') ?? '').trim();
    if (key === '' || isChecking) return;
    // The same problem twice is announced twice.
    setProblem(undefined);
    setChecking(true);
    const found = await check(key);
    setChecking(false);
    if (found === undefined) onKey(key);
    else setProblem(found);
  }

  return (
    <main className="key-form">
      <form onSubmit={(event) => void submit(event)}>
        <h1>InferQL</h1>
        <label htmlFor="key">API key</label>
        <p id="key-hint">
          This server requires an API key with the scopes infer and read. This tab keeps it until you close it.
        </p>
        <input
          id="key"
          name="key"
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          aria-describedby="key-hint key-problem"
        />
        <p id="key-problem" role="alert">
          {problem}
        </p>
        <button type="submit" className="button button-primary" aria-disabled={isChecking}>
          {isChecking ? 'Checking…' : 'Continue'}
        </button>
      </form>
    </main>
  );
}
