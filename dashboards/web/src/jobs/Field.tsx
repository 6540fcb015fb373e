import { fieldErrors, form } from "./state";
import { LABELS, LIMITS, WHEN_EMPTY, type FieldName, type Form, type NumberName } from "./options";

/** Writes a field of the form; what was said of it is then out of date. */
export function write<N extends FieldName>(name: N, value: Form[N]): void {
  form.value = { ...form.value, [name]: value };
  if (fieldErrors.value[name] !== undefined) fieldErrors.value = { ...fieldErrors.value, [name]: undefined };
}

export function FieldError(props: { id: string; sentence: string | undefined }) {
  return (
    <p id={props.id} class="error" role="alert">
      {props.sentence}
    </p>
  );
}

export function NumberField(props: { name: NumberName }) {
  const { name } = props;
  const [least, most] = LIMITS[name];
  const error = fieldErrors.value[name];
  return (
    <div class="field">
      <label for={name}>{LABELS[name]}</label>
      <input
        id={name}
        name={name}
        inputMode={name === "apriltag_size_mm" ? "decimal" : "numeric"}
        autocomplete="off"
        value={form.value[name]}
        onInput={(event) => write(name, event.currentTarget.value)}
        aria-invalid={error !== undefined}
        aria-describedby={`${name}-help ${name}-error`}
      />
      <p id={`${name}-help`} class="help">
        <code>{name}</code>, {least.toLocaleString("en")} to {most.toLocaleString("en")}; {WHEN_EMPTY[name]}
      </p>
      <FieldError id={`${name}-error`} sentence={error} />
    </div>
  );
}

type FlagName = "public" | "remove_background" | "mesh" | "turntable";

export function FlagField(props: { name: FlagName; label: string; help: string }) {
  const { name } = props;
  const error = fieldErrors.value[name];
  return (
    <div class="field flag">
      <input
        id={name}
        name={name}
        type="checkbox"
        checked={form.value[name]}
        onChange={(event) => write(name, event.currentTarget.checked)}
        aria-describedby={`${name}-help ${name}-error`}
      />
      <div>
        <label for={name}>{props.label}</label>
        <p id={`${name}-help`} class="help">
          {props.help}
        </p>
        <FieldError id={`${name}-error`} sentence={error} />
      </div>
    </div>
  );
}

export function SelectField(props: {
  name: "reconstruction_method" | "camera_type";
  label: string;
  choices: readonly (readonly [string, string])[];
}) {
  const { name } = props;
  const error = fieldErrors.value[name];
  return (
    <div class="field">
      <label for={name}>{props.label}</label>
      <select
        id={name}
        name={name}
        value={form.value[name]}
        onChange={(event) => write(name, event.currentTarget.value as never)}
        aria-invalid={error !== undefined}
        aria-describedby={`${name}-help ${name}-error`}
      >
        {props.choices.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <p id={`${name}-help`} class="help">
        <code>{name}</code>
      </p>
      <FieldError id={`${name}-error`} sentence={error} />
    </div>
  );
}
