import { fetchSample, SAMPLES } from '../samples.ts';

/** Sample images, for people who have none at hand. */
export function Samples({ onFile }: { onFile(file: File): void }) {
  return (
    <div className="samples">
      <p id="samples-title">No photo at hand? Try one of these</p>
      <ul aria-labelledby="samples-title">
        {SAMPLES.map((sample) => (
          <li key={sample.name}>
            <button
              type="button"
              onClick={async () => onFile(await fetchSample(sample))}
              title={`Classify ${sample.what}`}
            >
              <img src={sample.url} alt={`Classify ${sample.what}`} width="88" height="88" />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
