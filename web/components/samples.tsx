import chelsea from '../../models/samples/chelsea.png';
import coffee from '../../models/samples/coffee.png';
import rocket from '../../models/samples/rocket.jpg';

const SAMPLES = [
  { name: 'chelsea.png', url: chelsea, what: 'a cat' },
  { name: 'coffee.png', url: coffee, what: 'a cup of coffee' },
  { name: 'rocket.jpg', url: rocket, what: 'a rocket' },
];

/** Sample images, for people who have none at hand. */
export function Samples({ onFile }: { onFile(file: File): void }) {
  const fetchSample = async (name: string, url: string) => {
    const photo = await (await fetch(url)).blob();
    onFile(new File([photo], name, { type: photo.type }));
  };
  return (
    <div className="samples">
      <p id="samples-title">No photo at hand? Try one of these</p>
      <ul aria-labelledby="samples-title">
        {SAMPLES.map(({ name, url, what }) => (
          <li key={name}>
            <button type="button" onClick={() => void fetchSample(name, url)} title={`Classify ${what}`}>
              <img src={url} alt={`Classify ${what}`} width="88" height="88" />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
