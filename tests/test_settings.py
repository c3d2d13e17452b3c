import pytest

from mrnetlib import settings
from mrnetlib.files import InputError
from mrnetlib.settings import KEYS, STEPS, Settings, changed, keys_of
from mrnetlib.study import read


@pytest.fixture
def write(tmp_path):
    """Write a study file and give the root that `read` wants."""

    def write(text, name="own"):
        path = tmp_path / "studies" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_what_a_study_file_does_not_say_is_the_papers_setting(write):
    chosen = read("own", write("description: ours\n"))
    assert chosen == Settings(description="ours")
    assert (chosen.learning_rate, chosen.weight_decay, chosen.epochs) == (1e-4, 0.1, 50)
    assert (chosen.flip, chosen.rotation, chosen.shift) == (0.5, 25, 25)
    assert (chosen.weights, chosen.fuse_on, chosen.image_size) == ("imagenet", "train", 256)


def test_values_get_their_proper_types(write):
    text = "learning_rate: 1e-4\nrotation: 10\nplanes: axial\ntasks: [acl, meniscus]\n"
    chosen = read("own", write(text))
    assert chosen.learning_rate == 1e-4, "YAML reads this as text, people write it as a number"
    assert type(chosen.rotation) is float
    assert chosen.planes == ("axial",)
    assert chosen.tasks == ("acl", "meniscus")


def test_a_study_extends_another(write):
    write("epochs: 7\nseed: 3\n", "first")
    write("extends: first\nseed: 4\n", "second")
    root = write("extends: second\npatience: 2\n")
    assert read("own", root) == Settings(epochs=7, seed=4, patience=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "unknown key 'epoch'. Did you mean 'epochs'"),
        ("colour: red", "unknown key 'colour'. Known are: .*architectures"),
        ("epochs: ten", r"epochs is 'ten' \(str\), expected int"),
        ("epochs: 3.5", r"epochs is 3.5 \(float\), expected int"),
        ("epochs: true", r"epochs is True \(bool\), expected int"),
        ("epochs: null", "epochs is None"),
        ("epochs: 0", "epochs is 0, expected a number of 1 or more"),
        ("batch_exams: 0", "batch_exams is 0"),
        ("seed: -1", "seed is -1, expected a number of 0 or more"),
        ("learning_rate: fast", "learning_rate is 'fast'"),
        ("learning_rate: .nan", "learning_rate is nan"),
        ("learning_rate: .inf", "learning_rate is inf"),
        ("flip: 50", "flip is 50.0, expected a share between 0 and 1"),
        ("standardize: 1", r"standardize is 1 \(int\), expected bool"),
        ("precision: fp61", "precision is 'fp61', expected one of fp32, bf16, auto"),
        ("data: dicom", "data is 'dicom', expected one of phantom, mrnet"),
        ("weights: imagnet", "weights is 'imagnet', expected one of imagenet, .* or a file's path"),
        ("weights: ''", "weights is ''"),
        ("tune_fraction: 0", "tune_fraction is 0.0, expected a share above 0 and below 1"),
        ("tune_fraction: 1", "tune_fraction is 1.0, expected a share above 0 and below 1"),
        ("select_on: valid", "select_on is 'valid'"),
        ("planes: [axial, sagital]", "planes: 'sagital'. Did you mean 'sagittal'"),
        ("planes: [axial, sagittal, axial]", "planes names 'axial' twice"),
        ("tasks: acl,acl", "tasks names 'acl' twice"),
        ("choices_architectures: [vgg11, vgg11]", "choices_architectures names 'vgg11' twice"),
        ("image_size: 32", "image_size is 32, expected a number of 63 or more"),
        (f"learning_rate: 1{'0' * 400}", "learning_rate is 10*"),
        ("tasks: []", "tasks is .*expected a list"),
        ("tasks: 3", "tasks is 3, expected a list"),
        ("architectures: [alexnet, resnet81]", "architectures: 'resnet81'. Did you mean 'resnet1"),
        ("- epochs", "expected lines 'key: value', found list"),
        ("", "expected lines 'key: value', found NoneType"),
        ("a: [", "not valid YAML"),
        ("description: 2020-13-01", "not valid YAML .*month"),
        ("seed: 1\nepochs: 3\nseed: 2\n", r"own\.yaml, line 3: key 'seed' is given a second time"),
        ("data: {a: 1, a: 2}", "line 1: key 'a' is given a second time"),
        ("? [seed]\n: 1", r"line 1: \['seed'\] cannot be a key"),
        ("3: 4", "unknown key '3'"),
        ("extends: [own]", r"extends is \['own'\], expected the name of a study"),
        ("extends: 3", "extends is 3, expected the name of a study"),
        ("extends: nobody", r"nobody\.yaml: no such study"),
        ("extends: own", "extends itself"),
    ],
)
def test_bad_study_files_are_refused(write, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read("own", write(text))
    assert "studies" in str(caught.value), "the message names the file"


def test_a_study_file_in_another_encoding_is_refused(write):
    root = write("")
    (root / "studies" / "own.yaml").write_bytes("description: Männerknie".encode("latin-1"))
    with pytest.raises(InputError, match=r"own\.yaml: not UTF-8 text"):
        read("own", root)


def test_what_is_merged_in_may_be_said_again(write):
    text = "? &a seed\n: 3\n<<: {seed: 4, epochs: 2}\n"
    assert read("own", write(text)) == Settings(seed=3, epochs=2)


def test_some_planes_tasks_and_architectures_in_any_order(write):
    text = "planes: [sagittal, axial]\ntasks: acl\narchitectures: [densenet121, alexnet]\n"
    chosen = read("own", write(text))
    assert chosen.planes == ("sagittal", "axial")
    assert chosen.tasks == ("acl",)
    assert chosen.architectures == ("densenet121", "alexnet")


def test_every_key_is_read_by_known_steps_and_has_a_default_within_its_limits():
    for name, field in KEYS.items():
        steps = field.metadata["steps"]
        assert steps and set(steps) <= {*STEPS, settings.DRAWING, settings.VERIFY}, name
        assert settings.checked(name, field.default, "default") == field.default
    read_by_none = [step for step in STEPS if not keys_of(step)]
    assert read_by_none == []


def test_a_step_names_the_keys_that_it_reads():
    assert keys_of("pretraining") == [
        "planes", "pretrain_slices", "precision", "deterministic", "device", "threads", "seed",
    ]  # fmt: skip
    compared = ["architectures", "planes", "tasks", "select_on", "scratch_study"]
    assert keys_of("comparison") == compared
    assert keys_of(settings.DRAWING) == ["description"]
    assert settings.augmentations() == ["flip", "flip_sagittal", "rotation", "shift"]
    with pytest.raises(ValueError, match=r"'trainings' is no step\. Did"):
        keys_of("trainings")


def test_a_notebooks_parameters_replace_settings_and_are_checked():
    own = Settings(epochs=7, rotation=5.0)
    chosen = changed(own, epochs=None, seed=4, learning_rate="1e-3")
    assert chosen == Settings(epochs=7, rotation=5.0, seed=4, learning_rate=1e-3)
    with pytest.raises(InputError, match="parameter: epochs is 'many'"):
        changed(own, epochs="many")


def test_every_architecture_has_seeds_of_its_own_number(write):
    own = read("own", write("seed: 7\nseeds: 3\nonce: [googlenet]\n"))
    assert own.seeds_of("alexnet") == (7, 8, 9)
    assert own.seeds_of("googlenet") == (7,)
    assert Settings(seed=5).seeds_of("alexnet") == (5,)
    assert read("own", write("seeds: 2\nonce: []\n")) == Settings(seeds=2)
    for few in ("seeds: 0", "seeds: 1.5"):
        with pytest.raises(InputError, match=r"own\.yaml: seeds is"):
            read("own", write(few))


def test_a_training_does_not_depend_on_how_many_others_there_are():
    one, several = Settings(seed=8), Settings(seed=7, seeds=3, once=("googlenet",))
    assert several.of_seed(8) == one
    assert settings.values_of(several.of_seed(8), "training") == settings.values_of(one, "training")


def test_what_is_trained_once_is_the_studys(write):
    message = r"own\.yaml: once names 'resnet18', which is none of .* alexnet\. Take it out"
    with pytest.raises(InputError, match=message):
        read("own", write("architectures: [alexnet]\nonce: [resnet18]\n"))
    write("once: [resnet18]\n", "parent")
    with pytest.raises(InputError, match=message):
        read("own", write("extends: parent\narchitectures: [alexnet]\n"))
    assert read("own", write("extends: parent\narchitectures: alexnet\nonce: []\n")).once == ()
    with pytest.raises(InputError, match="architectures is"):
        read("own", write("architectures: []\n"))


def test_an_unknown_study_is_named_with_the_nearest_known(write):
    write("epochs: 3", "phantom")
    root = write("epochs: 3", "mrnet")
    with pytest.raises(InputError, match=r"fantom\.yaml: no such study\. Did you mean 'phantom'"):
        read("fantom", root)
    with pytest.raises(InputError, match="Known are: mrnet, phantom"):
        read("xyz", root)


def test_a_value_in_a_parent_is_checked_too(write):
    write("epoch: 7\n", "first")
    with pytest.raises(InputError, match=r"first\.yaml: unknown key 'epoch'"):
        read("own", write("extends: first\n"))


def test_hints_are_for_near_words_only():
    assert settings.did_you_mean("axail", ["axial", "coronal"]) == "Did you mean 'axial'?"
    assert settings.did_you_mean("q", ["b", "a"]) == "Known are: a, b."
