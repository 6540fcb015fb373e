import { useSignal } from "@preact/signals";
import { FlagField, NumberField, SelectField } from "./Field";
import { CUSTOM, LABELS, numbersOf, PRESETS, presetOf, type FieldName } from "./options";
import { fieldErrors, form } from "./state";

const ADVANCED: readonly FieldName[] = [
  ...(Object.keys(LABELS) as (keyof typeof LABELS)[]),
  "reconstruction_method",
  "camera_type",
];

export function OptionFields() {
  return (
    <>
      <Presets />
      <fieldset>
        <legend>Options</legend>
        <FlagField
          name="public"
          label="Public"
          help="Everybody who has the scene's address may look at it."
        />
        <FlagField name="remove_background" label="Remove the background" help="The subject alone." />
        <FlagField name="mesh" label="Mesh" help="A surface with colours too, to download as GLB." />
        <FlagField
          name="turntable"
          label="Turntable"
          help="A short film around the scene, to download as MP4."
        />
      </fieldset>
      <Advanced />
    </>
  );
}

function Presets() {
  const current = presetOf(form.value);
  return (
    <fieldset class="presets">
      <legend>Quality</legend>
      {PRESETS.map(({ name, label, help }) => (
        <div class="field flag" key={name}>
          <input
            id={`preset-${name}`}
            type="radio"
            name="preset"
            checked={current === name}
            onChange={() => (form.value = { ...form.value, ...numbersOf(name) })}
            aria-describedby={`preset-${name}-help`}
          />
          <div>
            <label for={`preset-${name}`}>{label}</label>
            <p class="help" id={`preset-${name}-help`}>
              {help}
            </p>
          </div>
        </div>
      ))}
      {current === CUSTOM && <p class="help">Your own numbers, under “Advanced”.</p>}
    </fieldset>
  );
}

function Advanced() {
  const open = useSignal(false);
  const wrong = ADVANCED.some((name) => fieldErrors.value[name] !== undefined);
  return (
    <details open={open.value || wrong} onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Advanced</summary>
      <NumberField name="training_num_steps" />
      <NumberField name="training_max_num_gaussians" />
      <NumberField name="max_frames" />
      <NumberField name="train_side_px" />
      <SelectField
        name="reconstruction_method"
        label="How the cameras are found"
        choices={[
          ["glomap", "All at once (GLOMAP)"],
          ["colmap", "One after another (COLMAP)"],
        ]}
      />
      <NumberField name="apriltag_size_mm" />
      <p class="help">
        The side of the inner white square of the tags in the scene: they give it its true size.{" "}
        <a href="/tags.pdf">Tags to print (PDF)</a>
      </p>
      <SelectField
        name="camera_type"
        label="How the viewer starts"
        choices={[
          ["", "Not set (as drone)"],
          ["orbital", "Orbital: around the scene"],
          ["drone", "Drone: through the scene"],
        ]}
      />
    </details>
  );
}
