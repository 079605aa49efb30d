"""What a run's JSON files hold, as msgspec structs in HELM's spelling and with HELM's defaults.

One struct per HELM class, under HELM's name; fields in the order in which HELM writes them. Every field
that HELM 0.1.0 to 0.5.16 wrote is here, so that one set of types reads dumps of all releases. A field says in its
`Doc` what its value means and which releases wrote it.

HELM omits a dataclass field whose value is None, and writes every other one. So a key that is missing means
None or "unknown to that release", never "the default": the defaults here are what the reader of HELM 0.5.16
fills in, and None where it knows no such field (any more).

Nothing of HELM is imported, and nothing here knows about columns.
"""

from typing import Annotated, Any, get_type_hints

from msgspec import Struct, field

JsonObject = dict[str, Any]
"""An object whose keys HELM does not fix. Nulls inside it are written as they are."""


class Doc(Struct, frozen=True):
    """What a field means, and the HELM releases that write it.

    A plain value beside the type instead of `msgspec.Meta`, which would wrap the node of every field that
    `msgspec.inspect` shows.

    Attributes:
        description: One line: unit, meaning, when it is null.
        since: First release whose class has the field. A struct may be younger where it is used: a field's
            range at some path is the narrowest of the ranges along that path.
        until: Last release that wrote it; None if 0.5.16 still does.
    """

    description: str
    since: str = "0.1.0"
    until: str | None = None


class HelmStruct(Struct, gc=False, frozen=True):
    """Not tracked by the garbage collector: millions are alive at once, and JSON has no cycles.

    `frozen` is inherited, but mypy wants it said again in each class; `kw_only` has to be.
    """


class ImageGenerationParameters(HelmStruct, frozen=True, kw_only=True):
    """How a text-to-image model was asked to draw (HEIM)."""

    output_image_width: Annotated[int | None, Doc("pixels; null: the model's own", since="0.5.0")] = None
    output_image_height: Annotated[int | None, Doc("pixels; null: the model's own", since="0.5.0")] = None
    guidance_scale: Annotated[
        float | None, Doc("how closely the picture follows the prompt; null: the model's own", since="0.5.0")
    ] = None
    diffusion_denoising_steps: Annotated[
        int | None, Doc("denoising steps a picture; null: the model's own", since="0.5.0")
    ] = None


class REEvalParameters(HelmStruct, frozen=True, kw_only=True):
    """Set by the adaptive runner (reeval) only."""

    model_ability: Annotated[float | None, Doc("ability that the item response model starts from", since="0.5.5")] = (
        None
    )


class Substitution(HelmStruct, frozen=True, kw_only=True):
    """A text replaced in the finished prompt."""

    source: Annotated[str, Doc("text or regular expression looked for in the prompt")]
    target: Annotated[str, Doc("what is put in its place")]


class ScenarioSpec(HelmStruct, frozen=True, kw_only=True):
    """Which scenario class is made, and of what."""

    class_name: Annotated[
        str,
        Doc("full dotted path of the class; modules moved between releases, so compare its last component"),
    ]
    args: Annotated[JsonObject, Doc("keyword arguments of the class; keys differ by scenario")] = field(
        default_factory=dict
    )


class MetricSpec(HelmStruct, frozen=True, kw_only=True):
    """Which metric class is made, and of what."""

    class_name: Annotated[
        str,
        Doc("full dotted path of the class; modules moved between releases, so compare its last component"),
    ]
    args: Annotated[JsonObject, Doc("keyword arguments of the class; may nest further metric specs")] = field(
        default_factory=dict
    )


class PerturbationSpec(HelmStruct, frozen=True, kw_only=True):
    """Which perturbation class is made, and of what."""

    class_name: Annotated[
        str,
        Doc("full dotted path of the class; modules moved between releases, so compare its last component"),
    ]
    args: Annotated[JsonObject, Doc("keyword arguments of the class; keys differ by perturbation")] = field(
        default_factory=dict
    )


class AnnotatorSpec(HelmStruct, frozen=True, kw_only=True):
    """Which annotator class is made, and of what."""

    class_name: Annotated[
        str,
        Doc(
            "full dotted path of the class; modules moved between releases, so compare its last component",
            since="0.5.0",
        ),
    ]
    args: Annotated[
        JsonObject,
        Doc("keyword arguments as the user gave them, without those that HELM injects", since="0.5.0"),
    ] = field(default_factory=dict)


class DataAugmenterSpec(HelmStruct, frozen=True, kw_only=True):
    """Which perturbed copies of the instances are made."""

    perturbation_specs: Annotated[
        list[PerturbationSpec], Doc("perturbations, in the order in which their copies follow an instance")
    ] = field(default_factory=list)
    should_augment_train_instances: Annotated[bool, Doc("whether in-context examples get perturbed copies")] = False
    should_include_original_train: Annotated[bool, Doc("whether the originals stay among the examples")] = False
    should_skip_unchanged_train: Annotated[
        bool, Doc("whether a copy that the perturbation left as it was is dropped from the examples")
    ] = False
    should_augment_eval_instances: Annotated[bool, Doc("whether evaluated instances get perturbed copies")] = False
    should_include_original_eval: Annotated[bool, Doc("whether the originals are evaluated too")] = False
    should_skip_unchanged_eval: Annotated[
        bool, Doc("whether a copy that the perturbation left as it was is not evaluated")
    ] = False
    seeds_per_instance: Annotated[int, Doc("copies that each perturbation makes of an instance")] = 1


class AdapterSpec(HelmStruct, frozen=True, kw_only=True):
    """How instances become requests: prompt, in-context examples, decoding."""

    method: Annotated[str, Doc("adaptation method, such as generation, chat or multiple_choice_joint")] = ""
    global_prefix: Annotated[str, Doc("text before the whole prompt")] = ""
    global_suffix: Annotated[str, Doc("text after the whole prompt", since="0.4.0")] = ""
    instructions: Annotated[str, Doc("task description at the head of the prompt")] = ""
    input_prefix: Annotated[str, Doc("text before each input")] = "Input: "
    input_suffix: Annotated[str, Doc("text after each input")] = "\n"
    reference_prefix: Annotated[str, Doc("text before the first choice; its letter or digit counts up")] = "A. "
    reference_prefix_characters: Annotated[
        list[str] | None,
        Doc("labels of the choices, instead of counting up from reference_prefix", since="0.5.8"),
    ] = None
    reference_suffix: Annotated[str, Doc("text after each choice")] = "\n"
    chain_of_thought_prefix: Annotated[str, Doc("text before an example's reasoning", since="0.5.5")] = ""
    chain_of_thought_suffix: Annotated[str, Doc("text after an example's reasoning", since="0.5.5")] = "\n"
    output_prefix: Annotated[str, Doc("text before each output")] = "Output: "
    output_suffix: Annotated[str, Doc("text after each output")] = "\n"
    instance_prefix: Annotated[str, Doc("text between the in-context examples")] = "\n"
    substitutions: Annotated[list[Substitution], Doc("replacements applied to the finished prompt, in order")] = field(
        default_factory=list
    )
    max_train_instances: Annotated[int, Doc("most in-context examples in a prompt; a long prompt gets fewer")] = 5
    max_eval_instances: Annotated[int | None, Doc("most instances evaluated, drawn at random; null: all")] = None
    num_outputs: Annotated[int, Doc("completions asked of each request")] = 5
    num_train_trials: Annotated[int, Doc("draws of in-context examples; each evaluates all instances again")] = 1
    num_trials: Annotated[int, Doc("times that each request is repeated within a train trial", since="0.5.0")] = 1
    sample_train: Annotated[
        bool, Doc("whether examples are drawn at random; false: the first of the train split", since="0.2.2")
    ] = True
    model_deployment: Annotated[str, Doc("where the model was run; empty before 0.4.0", since="0.4.0")] = ""
    model: Annotated[str, Doc("model asked; before 0.4.0 what is now the model deployment")] = ""
    temperature: Annotated[float, Doc("sampling temperature; 0 is greedy")] = 1
    max_tokens: Annotated[int, Doc("most tokens in a completion")] = 100
    stop_sequences: Annotated[list[str], Doc("texts that end a completion")] = field(default_factory=list)
    random: Annotated[str | None, Doc("text mixed into the request cache's key to force a new draw")] = None
    multi_label: Annotated[bool, Doc("whether all correct references of an example are shown", since="0.2.4")] = False
    image_generation_parameters: Annotated[
        ImageGenerationParameters | None, Doc("set for text-to-image models only", since="0.5.0")
    ] = None
    reeval_parameters: Annotated[
        REEvalParameters | None, Doc("set for adaptive evaluation (reeval) only", since="0.5.5")
    ] = None
    eval_splits: Annotated[list[str] | None, Doc("splits evaluated; null: HELM's valid and test", since="0.5.0")] = None
    output_mapping_pattern: Annotated[
        str | None,
        Doc("regular expression whose group is the chosen label; null: the whole completion is", since="0.5.9"),
    ] = None


class RunSpec(HelmStruct, frozen=True, kw_only=True):
    """run_spec.json: everything that determines a run."""

    name: Annotated[str, Doc("run name, '/' replaced by '_'; folders of copied dumps may be spelt otherwise")]
    scenario_spec: Annotated[ScenarioSpec, Doc("where the instances come from")]
    adapter_spec: Annotated[AdapterSpec, Doc("how an instance becomes requests")]
    metric_specs: Annotated[list[MetricSpec], Doc("what is computed; stats follow in this order")]
    data_augmenter_spec: Annotated[DataAugmenterSpec, Doc("perturbed copies of the instances")] = field(
        default_factory=DataAugmenterSpec
    )
    groups: Annotated[list[str], Doc("groups of the leaderboard's schema in which the run counts")] = field(
        default_factory=list
    )
    annotators: Annotated[
        list[AnnotatorSpec] | None,
        Doc("judges and parsers run on the completions; null: none", since="0.5.0"),
    ] = None


class MediaObject(HelmStruct, frozen=True, kw_only=True):
    """One piece of text, picture, audio or video."""

    content_type: Annotated[str, Doc("media type, such as text/plain or image/png", since="0.3.0")]
    text: Annotated[str | None, Doc("the text itself; null unless content_type is text/*", since="0.3.0")] = None
    location: Annotated[str | None, Doc("URL, or path on the machine that ran HELM; null for text", since="0.3.0")] = (
        None
    )


class MultimediaObject(HelmStruct, frozen=True, kw_only=True):
    """A sequence of texts and media."""

    media_objects: Annotated[list[MediaObject], Doc("the pieces, in reading order", since="0.3.0")] = field(
        default_factory=list
    )


class Input(HelmStruct, frozen=True, kw_only=True):
    """What an instance asks."""

    text: Annotated[str, Doc("the question; empty where it is in messages or media", since="0.2.0")] = ""
    multimedia_content: Annotated[
        MultimediaObject | None, Doc("text and media of a multimodal scenario", since="0.3.0")
    ] = None
    messages: Annotated[
        list[JsonObject] | None,
        Doc("chat turns, usually of role and content; an API's own turns are kept as they are", since="0.5.5"),
    ] = None


class Output(HelmStruct, frozen=True, kw_only=True):
    """What a reference answers."""

    text: Annotated[str, Doc("the answer; empty where it is a picture or sound", since="0.2.0")] = ""
    multimedia_content: Annotated[
        MultimediaObject | None, Doc("text and media of a multimodal scenario", since="0.3.0")
    ] = None


class Reference(HelmStruct, frozen=True, kw_only=True):
    """A possible answer to an instance."""

    output: Annotated[Output | str, Doc("the answer; a plain string in 0.1.0")]
    tags: Annotated[list[str], Doc("'correct' marks a right answer; ranking: relevance=N, rank=N")]
    num_human_answered: Annotated[
        int | None, Doc("people who chose it; scenario heim_human_eval only, else null", since="0.5.0")
    ] = None


class PerturbationDescription(HelmStruct, frozen=True, kw_only=True):
    """How an instance was changed, or over which changes a stat is aggregated.

    HELM has a class for each perturbation; this one has the parameters of all. A parameter is null where the
    perturbation called `name` has none, and HELM's default is never filled in for it.
    """

    name: Annotated[str, Doc("perturbation; in stats.json also 'robustness' and 'fairness', the worst of many")]
    robustness: Annotated[bool, Doc("whether it counts for robustness: the answer should stay the same")] = False
    fairness: Annotated[bool, Doc("whether it counts for fairness: another dialect, gender or name")] = False
    computed_on: Annotated[
        str,
        Doc("perturbed copies, their originals, or the worst (minimum) of both: perturbed, original, worst"),
    ] = "perturbed"
    seed: Annotated[int | None, Doc("which of several copies of an instance; null for the first")] = None
    mode: Annotated[str | None, Doc("pronouns or terms (gender, chinese_gender)")] = None
    prob: Annotated[float | None, Doc("chance that a candidate is changed, 0 to 1")] = None
    source_class: Annotated[
        str | None, Doc("what is replaced: a dialect, a gender, or for names 'key=value,key=value'")
    ] = None
    target_class: Annotated[str | None, Doc("what takes its place, spelt like source_class")] = None
    mapping_file_path: Annotated[str | None, Doc("word list on the machine that ran HELM (dialect)")] = None
    bidirectional: Annotated[bool | None, Doc("whether target words are also turned into source words (gender)")] = None
    name_file_path: Annotated[str | None, Doc("name list on the machine that ran HELM (person_name)")] = None
    person_name_type: Annotated[str | None, Doc("first_name or last_name (person_name)")] = None
    preserve_gender: Annotated[bool | None, Doc("whether a new name is of the old one's gender")] = None
    rare_char_prob: Annotated[
        float | None, Doc("chance of a rare character, 0 to 1 (chinese_typos)", since="0.3.0")
    ] = None
    consider_tone: Annotated[
        bool | None, Doc("whether a replacement must keep the tone (chinese_typos)", since="0.3.0")
    ] = None
    word_level_perturb: Annotated[
        bool | None, Doc("whether whole words are replaced, not characters (chinese_typos)", since="0.3.0")
    ] = None
    trial_num: Annotated[int | None, Doc("attempts at finding a synonym (chinese_synonym)", since="0.3.0")] = None
    insert_prob: Annotated[float | None, Doc("chance of a filler at each place, 0 to 1 (filler_words)")] = None
    num_spaces: Annotated[int | None, Doc("blanks that take the place of one (extra_space)")] = None
    max_spaces: Annotated[int | None, Doc("most blanks that take the place of one (space)")] = None
    language_code: Annotated[str | None, Doc("language translated into (translate)", since="0.5.0")] = None
    suffix: Annotated[str | None, Doc("text appended to the input (style)", since="0.5.0")] = None


class Instance(HelmStruct, frozen=True, kw_only=True):
    """A question with its possible answers, perturbed or not."""

    input: Annotated[Input | str, Doc("what is asked; a plain string in 0.1.0")]
    references: Annotated[list[Reference], Doc("possible answers, right and wrong ones")]
    split: Annotated[str | None, Doc("train, valid or test; evaluated ones are valid or test")] = None
    sub_split: Annotated[str | None, Doc("part of a split, where the scenario has such")] = None
    id: Annotated[
        str | int | None,
        Doc("'id<N>', or the scenario's own, which may be a number and repeat across splits"),
    ] = None
    perturbation: Annotated[PerturbationDescription | None, Doc("null for an original")] = None
    contrast_inputs: Annotated[
        list[Input | str] | None, Doc("the original of a perturbed copy, or the inputs of a contrast set")
    ] = None
    contrast_references: Annotated[
        list[list[Reference]] | None, Doc("answers to each of contrast_inputs; contrast sets only")
    ] = None
    extra_data: Annotated[
        JsonObject | None, Doc("what the scenario wants its annotators and metrics to know", since="0.5.5")
    ] = None


class ResponseFormat(HelmStruct, frozen=True, kw_only=True):
    """The form that the answer must have."""

    json_schema: Annotated[JsonObject | None, Doc("JSON schema that the completion must satisfy", since="0.5.5")] = None


class Request(HelmStruct, frozen=True, kw_only=True):
    """What was sent to the model."""

    model_deployment: Annotated[str, Doc("where the model was run; empty before 0.4.0", since="0.4.0")] = ""
    model: Annotated[str, Doc("model asked; before 0.4.0 what is now the model deployment")] = ""
    embedding: Annotated[bool, Doc("whether an embedding was asked for instead of text")] = False
    prompt: Annotated[str, Doc("full prompt; empty where messages or multimodal_prompt is used")] = ""
    temperature: Annotated[float, Doc("sampling temperature; 0 is greedy")] = 1.0
    num_completions: Annotated[int, Doc("completions asked for")] = 1
    top_k_per_token: Annotated[int, Doc("candidates asked for at each token, with their log-probabilities")] = 1
    max_tokens: Annotated[int, Doc("most tokens in a completion; 0 where the prompt itself is scored")] = 100
    stop_sequences: Annotated[list[str], Doc("texts that end a completion; joint multiple choice: none")] = field(
        default_factory=list
    )
    echo_prompt: Annotated[bool, Doc("whether the completion begins with the prompt, so that it is scored")] = False
    top_p: Annotated[float, Doc("nucleus sampling: probability mass kept, 0 to 1")] = 1
    presence_penalty: Annotated[float, Doc("penalty on tokens that occurred at all; 0: none")] = 0
    frequency_penalty: Annotated[float, Doc("penalty on tokens by how often they occurred; 0: none")] = 0
    random: Annotated[str | None, Doc("cache key of a repetition, '1', '2', … with num_trials; null: none")] = None
    messages: Annotated[
        list[JsonObject] | None,
        Doc("chat turns, usually of role and content, instead of prompt", since="0.2.3"),
    ] = None
    multimodal_prompt: Annotated[MultimediaObject | None, Doc("text and media, instead of prompt", since="0.3.0")] = (
        None
    )
    image_generation_parameters: Annotated[
        ImageGenerationParameters | None, Doc("set for text-to-image models only", since="0.5.0")
    ] = None
    response_format: Annotated[
        ResponseFormat | None, Doc("form asked of the answer; null: free text", since="0.5.5")
    ] = None


class Token(HelmStruct, frozen=True, kw_only=True):
    """A token of a completion."""

    text: Annotated[str, Doc(r"token's text; 'bytes:\xe2\x80' with literal backslashes for part of a character")]
    logprob: Annotated[float, Doc("natural log-probability; 0 where the model gives none")]
    top_logprobs: Annotated[
        JsonObject | None, Doc("most likely tokens at this place, text to log-probability", until="0.4.0")
    ] = None


class Thinking(HelmStruct, frozen=True, kw_only=True):
    """Reasoning that a model gives apart from its answer."""

    text: Annotated[str | None, Doc("the reasoning; null where the API hides it", since="0.5.6")] = None


class GeneratedOutput(HelmStruct, frozen=True, kw_only=True):
    """A completion (class Sequence before 0.5.0)."""

    text: Annotated[str, Doc("the completion; with echo_prompt it begins with the prompt")]
    logprob: Annotated[float, Doc("sum over the tokens; 0 where the model gives none; may be NaN or infinite")]
    tokens: Annotated[list[Token], Doc("the completion's tokens; empty where the API gives none")]
    finish_reason: Annotated[
        JsonObject | None, Doc("why it ended, as {reason: …}: length, stop, endoftext or the provider's word")
    ] = None
    multimodal_content: Annotated[
        MultimediaObject | None, Doc("pictures or sound that were generated", since="0.5.0")
    ] = None
    thinking: Annotated[Thinking | None, Doc("reasoning apart from the text; null: none", since="0.5.6")] = None


class ErrorFlags(HelmStruct, frozen=True, kw_only=True):
    """What a failed request means for the run."""

    is_retriable: Annotated[bool | None, Doc("whether trying again may help; null: not known", since="0.2.3")] = None
    is_fatal: Annotated[bool | None, Doc("false: the run went on without an answer", since="0.2.3")] = None


class RequestResult(HelmStruct, frozen=True, kw_only=True):
    """What came back from the model."""

    success: Annotated[bool, Doc("false: completions holds a single empty one and error says why")]
    embedding: Annotated[list[float], Doc("the embedding, if one was asked for, else empty")]
    completions: Annotated[list[GeneratedOutput], Doc("what the model wrote, in the order it gave")]
    cached: Annotated[bool, Doc("whether the answer came from HELM's request cache")]
    request_time: Annotated[float | None, Doc("seconds; of the original call where cached")] = None
    request_datetime: Annotated[int | None, Doc("seconds since 1970, UTC; of the original call where cached")] = None
    error: Annotated[str | None, Doc("message of a failed request; null where it succeeded")] = None
    error_flags: Annotated[
        ErrorFlags | None, Doc("what a failed request means for the run; null: HELM's usual", since="0.2.3")
    ] = None
    batch_size: Annotated[int | None, Doc("requests that were sent together; null: sent alone")] = None
    batch_request_time: Annotated[float | None, Doc("seconds that the whole batch took")] = None


class RequestState(HelmStruct, frozen=True, kw_only=True):
    """A request with the instance it stands for and what came back."""

    instance: Annotated[Instance, Doc("instance that is evaluated")]
    reference_index: Annotated[
        int | None,
        Doc("place in instance.references of the one scored; null unless each is asked separately"),
    ] = None
    request_mode: Annotated[
        str | None, Doc("original or calibration (choice without question); null unless asked separately")
    ] = None
    train_trial_index: Annotated[int, Doc("which draw of in-context examples, from 0")]
    output_mapping: Annotated[
        JsonObject | None, Doc("label to text of the choice (A: …); joint multiple choice only")
    ] = None
    request: Annotated[Request, Doc("what was sent to the model")]
    result: Annotated[RequestResult | None, Doc("what came back; null in a dry run")] = None
    num_train_instances: Annotated[int, Doc("in-context examples that fitted into the prompt")]
    prompt_truncated: Annotated[bool, Doc("whether the prompt was cut to the model's window")]
    num_conditioning_tokens: Annotated[int, Doc("tokens before the scored ones; language_modeling, else 0")] = 0
    annotations: Annotated[
        Any, Doc("annotator's name to its value, an object or a list of one a completion", since="0.5.0")
    ] = None


class ScenarioState(HelmStruct, frozen=True, kw_only=True):
    """scenario_state.json: every request of a run, trial by trial, a perturbed copy after its original."""

    adapter_spec: Annotated[AdapterSpec, Doc("the run spec's, repeated")]
    request_states: Annotated[list[RequestState], Doc("no field makes one unique: its place is its key")]
    annotator_specs: Annotated[
        list[AnnotatorSpec] | None, Doc("the run spec's annotators, repeated", since="0.5.0")
    ] = None


class Scenario(HelmStruct, frozen=True, kw_only=True):
    """scenario.json: what the scenario says about itself."""

    name: Annotated[str, Doc("scenario's own name, which may differ from the run's and from its groups")]
    description: Annotated[str, Doc("one paragraph for people, often with a link to the paper")]
    tags: Annotated[list[str], Doc("free keywords, such as question_answering")]
    output_path: Annotated[
        str | None, Doc("folder of downloaded data, on the machine that ran HELM", until="0.2.4")
    ] = None
    definition_path: Annotated[str, Doc("URL of the source file; HELM's prefix even where it is a plugin's")]
    scenario_spec: Annotated[ScenarioSpec | None, Doc("the run spec's, repeated", until="0.1.0")] = None
    instances: Annotated[list[Instance] | None, Doc("evaluated instances", until="0.1.0")] = None


class MetricName(HelmStruct, frozen=True, kw_only=True):
    """What a stat is called: metric, and the part of the data it covers."""

    name: Annotated[str, Doc("metric; may hold '=', ':', ',', '@' and blanks")]
    split: Annotated[str | None, Doc("valid or test; null: counted over the whole run (cost, dry run)")] = None
    sub_split: Annotated[str | None, Doc("part of the split; null: all of it")] = None
    perturbation: Annotated[PerturbationDescription | None, Doc("null: unperturbed instances, the plain score")] = None


class Stat(HelmStruct, frozen=True, kw_only=True):
    """A number with its moments. In stats.json they are over train trials, each reduced to its mean first."""

    name: Annotated[MetricName, Doc("may occur twice in a file: no key")]
    count: Annotated[int, Doc("values behind it: in stats.json train trials, not instances; 0: no value")] = 0
    sum: Annotated[float, Doc("sum of the values, in the metric's unit; may be infinite, before 0.2.4 NaN")] = 0
    sum_squared: Annotated[float, Doc("sum of the values' squares")] = 0
    min: Annotated[float | None, Doc("smallest value; null where count is 0")] = None
    max: Annotated[float | None, Doc("largest value; null where count is 0")] = None
    mean: Annotated[float | None, Doc("mean of the values, in the metric's unit; null where count is 0")] = None
    variance: Annotated[float | None, Doc("population variance, not the sample's; null where count is 0")] = None
    stddev: Annotated[float | None, Doc("root of the population variance; null where count is 0")] = None


class PerInstanceStats(HelmStruct, frozen=True, kw_only=True):
    """What one metric says about one instance in one trial.

    Instance, perturbation and trial are no key: each metric that has values for an instance writes an entry
    of its own, and some write one per request.
    """

    instance_id: Annotated[str | int, Doc("id of the instance; a number where the scenario set one")]
    perturbation: Annotated[PerturbationDescription | None, Doc("null for an original")] = None
    train_trial_index: Annotated[int, Doc("which draw of in-context examples, from 0")]
    stats: Annotated[list[Stat], Doc("empty where every value was NaN and so was left out (0.2.4 and later)")]


OPEN: frozenset[type[Struct]] = frozenset({PerturbationDescription})
"""Structs that plugins extend with fields of their own: an undeclared key is one more parameter."""

FILE_TYPES: dict[str, Any] = {
    "run_spec.json": RunSpec,
    "scenario.json": Scenario,
    "scenario_state.json": ScenarioState,
    "stats.json": list[Stat],
    "per_instance_stats.json": list[PerInstanceStats],
}
"""Type of each file's root."""


def field_docs(struct_type: type[Struct]) -> dict[str, Doc]:
    """The `Doc` of each field of a struct, in field order.

    >>> field_docs(Stat)["stddev"].description
    'root of the population variance; null where count is 0'
    """
    hints = get_type_hints(struct_type, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in struct_type.__struct_fields__}
