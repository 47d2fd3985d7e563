"""MobileNet: the port against Keras on both backends, weights from every kind of file, features."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from common import keras_features, mobilenet, mobilenet_weights
from common.errors import UserError
from common.networks import n_parameters

ALPHA, SIDE = 0.25, 64
SCRIPT = """
import sys
import numpy as np
from common import keras_features, mobilenet_weights
images, weights = np.load(sys.argv[1]), mobilenet_weights.draw(0.25)
np.save(sys.argv[2], keras_features.extract(images, weights, alpha=0.25))
print(keras_features.engine())
"""


@pytest.fixture(scope="module")
def weights():
    """Random ones whose batch normalisation is not the identity."""
    drawn = mobilenet_weights.draw(ALPHA)
    random = np.random.default_rng(0)
    for name, value in drawn.items():
        if name.endswith("gamma"):
            value[:] = random.uniform(0.5, 1.5, value.shape)
        elif name.endswith(("beta", "moving_mean")):
            value[:] = random.normal(0, 0.1, value.shape)
        elif name.endswith("moving_variance"):
            value[:] = random.uniform(0.5, 2, value.shape)
    return drawn


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


def port(weights, images, layer=mobilenet.LAST):
    network = mobilenet.builder(weights, 10, ALPHA)(torch.Generator()).eval()
    with torch.no_grad():
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 256
        return network.maps(x, layer).permute(0, 2, 3, 1).flatten(1).numpy()


def test_the_port_gives_what_keras_gives(weights, images):
    found = keras_features.extract(images, weights, alpha=ALPHA)
    assert found.shape == (5, 4 * 256) and found.dtype == np.float32 and found.std() > 0.1
    assert np.abs(port(weights, images) - found).max() < 1e-4


@pytest.mark.parametrize("layer", ["conv_pw_1_relu", "conv_pw_11_relu"])
def test_earlier_layers_and_averages(weights, images, layer):
    found = keras_features.extract(images, weights, layer=layer, alpha=ALPHA)
    assert np.abs(port(weights, images, layer) - found).max() < 1e-4
    pooled = keras_features.extract(images, weights, layer=layer, pooled=True, alpha=ALPHA)
    assert np.allclose(found.reshape(5, -1, pooled.shape[1]).mean(1), pooled, atol=1e-5)


def test_one_channel_is_repeated(weights, images):
    grey = images[..., :1]
    assert np.allclose(
        keras_features.extract(grey, weights, alpha=ALPHA),
        keras_features.extract(np.repeat(grey, 3, axis=-1), weights, alpha=ALPHA),
        atol=1e-5,
    )
    assert np.abs(port(weights, grey) - keras_features.extract(grey, weights, alpha=ALPHA)).max() < 1e-4


def test_the_other_backend_gives_the_same_features(images, tmp_path):
    here = keras_features.engine()
    other = {"keras-tensorflow": "torch", "keras-torch": "tensorflow"}[here]
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "images.npy"), str(tmp_path / "features.npy")]
    done = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": other}, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split()[-1] == f"keras-{other}", done.stderr
    there = np.load(tmp_path / "features.npy")
    assert np.abs(there - keras_features.extract(images, mobilenet_weights.draw(ALPHA), alpha=ALPHA)).max() < 1e-4


def test_without_keras_the_port_extracts(weights, images, monkeypatch):
    with_keras = keras_features.extract(images, weights, alpha=ALPHA)
    find = keras_features.importlib.util.find_spec
    monkeypatch.setattr(
        keras_features.importlib.util, "find_spec", lambda name: None if name == "keras" else find(name)
    )
    assert keras_features.engine() == "torch"
    assert np.abs(keras_features.extract(images, weights, alpha=ALPHA) - with_keras).max() < 1e-4


def test_training_steps_are_keras(weights, images):
    """Two steps of RMSprop at the paper's rate, batch normalisation in training mode."""
    from common import training

    labels = np.array([0, 1, 2, 3, 0])
    build = mobilenet.builder(weights, 4, ALPHA, hidden=8)
    start = build(torch.Generator().manual_seed(0))
    data = training.Resident(images, labels)
    schedule = training.Schedule(
        iterations=2, batch_size=5, learning_rate=1e-4, policy="constant", momentum=0.0, weight_decay=0.0,
        bias_rate=1.0, optimiser="rmsprop",
    )  # fmt: skip
    (fitted,) = training.fit_many(build, data, [training.Member(np.arange(5), 0, 0)], schedule)

    k = keras_features.keras()
    body = keras_features.model(weights, SIDE, ALPHA, mobilenet.LAST)
    x = k.layers.GlobalAveragePooling2D()(body.output)
    hidden, head = k.layers.Dense(8, activation="relu"), k.layers.Dense(4, activation="softmax")
    network = k.Model(body.input, head(hidden(x)))
    for layer, own in ((hidden, start.hidden), (head, start.head)):
        layer.set_weights([own.weight.detach().numpy().T, own.bias.detach().numpy()])
    network.compile(k.optimizers.RMSprop(1e-4), "sparse_categorical_crossentropy", run_eagerly=True)
    for _ in range(2):
        network.train_on_batch(images.astype(np.float32) / 127.5 - 1, labels)

    moved = fitted.state["head.weight"].numpy() - start.head.weight.detach().numpy()
    theirs = head.get_weights()[0].T - start.head.weight.detach().numpy()
    assert np.abs(moved).max() > 3e-4
    assert np.abs(moved - theirs).max() < 2e-5
    state = {name.removeprefix("body."): v for name, v in fitted.state.items() if name.startswith("body.")}
    after = mobilenet_weights.from_torch(state)
    for name, variable in (("conv1", "kernel"), ("conv_pw_13", "kernel"), ("conv_pw_1_bn", "gamma")):
        ours = after[f"{name}/{variable}"]
        change = body.get_layer(name).get_weights()[0] - weights[f"{name}/{variable}"]
        # A gradient near zero may have another sign there, so single weights may differ by a step; the bulk may not,
        # but for what rounding makes of a gradient that has come through 27 layers.
        apart = np.abs(ours - weights[f"{name}/{variable}"] - change)
        assert np.median(apart) < 0.15 * np.median(np.abs(change)), name
    mean = body.get_layer("conv1_bn").get_weights()[2]
    assert np.abs(after["conv1_bn/moving_mean"] - mean).max() < 1e-4


def test_size_and_layers():
    network = mobilenet.MobileNet()
    assert n_parameters(network.body) == 3_206_976  # 3,228,864 of Keras less 21,888 moving means and variances
    with torch.no_grad():
        maps = network.eval().maps(torch.rand(1, 3, 64, 64))
        assert maps.flatten(1).shape == (1, 4096)
        assert network(torch.rand(1, 3, 64, 64)).shape == (1, 10)
        assert torch.equal(
            network.flat_maps(torch.ones(1, 3, 64, 64))[0, :1024], network.maps(torch.ones(1, 3, 64, 64))[0, :, 0, 0]
        )
        with pytest.raises(UserError, match="images of 33 x 33: MobileNet takes an even side"):
            network.maps(torch.rand(1, 3, 33, 33))
        with pytest.raises(UserError, match="layer 'fc6': expected one of conv_pw_1_relu"):
            network.maps(torch.rand(1, 3, 32, 32), "fc6")


def test_new_layers_start_as_keras_does():
    network = mobilenet.builder(mobilenet_weights.draw(ALPHA), 10, ALPHA)(torch.Generator().manual_seed(0))
    bound = np.sqrt(6 / (256 + 1024))
    assert network.hidden.weight.abs().max() <= bound
    assert network.hidden.weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.01)
    assert not network.hidden.bias.any() and not network.head.bias.any()


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_there_and_back(weights):
    again = mobilenet_weights.from_torch(mobilenet_weights.torch_state(weights))
    assert all(np.array_equal(weights[name], again[name]) for name in mobilenet_weights.names())


def test_files_of_every_kind_hold_the_same_weights(weights, tmp_path, capsys):
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    model = keras_features.model(weights, SIDE, ALPHA, mobilenet.LAST)
    model.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "old_no_top.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    wanted = mobilenet_weights.digest(weights)
    assert len(wanted) == 16
    new, npz = str(tmp_path / "new.weights.h5"), str(tmp_path / "new.npz")
    assert mobilenet_weights.main(["convert", new, npz]) == 0
    assert capsys.readouterr().out.strip() == wanted
    for name in ("new.weights.h5", "old_no_top.h5", "new.npz"):
        assert mobilenet_weights.digest(mobilenet_weights.read(tmp_path / name)) == wanted
    # Keras' own reader of its file and ours give one network.
    other = keras_features.model(mobilenet_weights.draw(ALPHA), SIDE, ALPHA, mobilenet.LAST)
    other.load_weights(tmp_path / "new.weights.h5")
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(one, same)
    changed = {name: value + (name == "conv1/kernel") * np.float32(0.01) for name, value in weights.items()}
    assert mobilenet_weights.digest(changed) != wanted
    loaded = mobilenet_weights.load(wanted, new, alpha=ALPHA)
    assert np.array_equal(loaded["conv_dw_7/kernel"], weights["conv_dw_7/kernel"])


def test_random_weights_keep_the_last_map_alive(images):
    found = keras_features.extract(images, mobilenet_weights.draw(ALPHA), alpha=ALPHA)
    assert found.std() > 1e-3 and 0.1 < (found > 0).mean() < 0.9
    assert mobilenet_weights.digest(mobilenet_weights.draw(ALPHA)) == mobilenet_weights.digest(
        mobilenet_weights.load("random", alpha=ALPHA)
    )


def test_which_weights_is_checked(weights, tmp_path, monkeypatch):
    path = tmp_path / "w.npz"
    np.savez(path, **weights)
    load, digest = mobilenet_weights.load, mobilenet_weights.digest(weights)
    with pytest.raises(UserError, match=f"their digest is {digest}, not 0123; to use them set pretrained={digest}"):
        load("0123", str(path))
    with pytest.raises(UserError, match=f"'imagenet' means the file that Keras downloads; .*pretrained={digest}"):
        load("imagenet", str(path))
    with pytest.raises(UserError, match=r"alpha 1.0: the weights are for 0.25"):
        load(digest, str(path))
    with pytest.raises(UserError, match="pass the file of these weights with --weights FILE"):
        load(digest)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"'imagenet': .* is not there and --offline forbids the download"):
        load("imagenet", offline=True)
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"'imagenet': .*file.models cannot be written; set KERAS_HOME to a folder"):
        load("imagenet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.h5", None, "no such file"),
        ("broken.h5", b"no HDF5", "not a file of MobileNet's weights"),
        ("weights.bin", b"", "expected a name that ends in .h5 or .npz"),
    ],
)
def test_files_that_are_none_are_named(tmp_path, name, content, message, capsys):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        mobilenet_weights.read(path)
    assert mobilenet_weights.main(["digest", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_lacks_a_layer_is_named(weights, tmp_path):
    np.savez(tmp_path / "w.npz", **{name: value for name, value in weights.items() if name != "conv_pw_3/kernel"})
    with pytest.raises(UserError, match="no conv_pw_3/kernel"):
        mobilenet_weights.read(tmp_path / "w.npz")
