import { useState } from 'react';
import { fetchSample, SAMPLES, type Sample } from '../samples.ts';

/** Sample images, for people who have none at hand. */
export function Samples({ onFile }: { onFile(file: File): void }) {
  const [failed, setFailed] = useState<Sample>();
  const add = async (sample: Sample) => {
    const file = await fetchSample(sample).catch(() => undefined);
    setFailed(file ? undefined : sample);
    if (file) onFile(file);
  };
  return (
    <div className="samples">
      <p id="samples-title">No photo at hand? Try one of these</p>
      <ul aria-labelledby="samples-title">
        {SAMPLES.map((sample) => (
          <li key={sample.name}>
            <button type="button" onClick={() => void add(sample)} title={`Classify ${sample.what}`}>
              <img src={sample.url} alt={`Classify ${sample.what}`} width="88" height="88" />
            </button>
          </li>
        ))}
      </ul>
      <p role="alert">{failed && `${failed.name} could not be loaded. Try again.`}</p>
    </div>
  );
}
