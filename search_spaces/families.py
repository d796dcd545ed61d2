"""Network families by name.

A family is named by a word of the table below or, for a third party's own, by
``package.module:attribute``. Nothing here imports torch until a network is built.
"""

from __future__ import annotations

from search_spaces.errors import NasError, nearest
from search_spaces.family import Family, Slot, load_attribute

_HEAD_METRICS = (
    "wa",
    "ua",
    "macro_f1",
    "loss",
    "energy",
    "energy_with_encoder",
    "parameters",
    "latency",
    "latency_steps",
    "spike_rate",
    "spikes",
    "macs",
    "acs",
    "compares",
    "synops",
)

ATTENTION_KINDS = (
    "none",
    "softmax",
    "retnet",
    "lightnet",
    "gsa",
    "fox",
    "kda",
    "ssla",
    "sdsa",
)

_DYNAMIC = ("calibration.kind", ("dynamic",))

_CLOCKED = ("neuron.type", ("plif", "lif", "if"))
_TTFS = ("neuron.type", ("ttfs",))

# What both families of time-to-first-spike networks can be built with.
_TTFS_SLOTS = {
    "ttfs.steps": Slot(16, low=2, high=1024, whole=True, about="clock steps of a spike window"),
    "ttfs.margin": Slot(
        0.1, low=-0.9, high=10, about="window over the largest activation seen in training, less 1"
    ),
    "ttfs.finetune": Slot(
        0.0, low=0.0, high=0.9, about="share of the epochs trained with rounding in the loop"
    ),
}

_WITH_NORMALIZATION = "batch statistics, or lateral inhibition (arXiv 2509.23253) in their place"

PTS_SNN = Family(
    name="pts_snn",
    builder="search_spaces.pts_snn:build",
    metrics=_HEAD_METRICS,
    only_when={
        "prompt.length": _DYNAMIC,
        "attention.kind": _DYNAMIC,
        "attention.heads": ("attention.kind", ATTENTION_KINDS[1:]),
        "attention.causal": ("attention.kind", ATTENTION_KINDS[1:]),
        "attention.sparsity": ("attention.kind", ("ssla",)),
        "neuron.tau": ("neuron.type", ("plif", "lif")),
        "neuron.threshold": _CLOCKED,
        "neuron.steps_per_frame": _CLOCKED,
        # inhibition divides, which spike times cannot
        "normalization": ("neuron.type", ("plif", "lif", "if", "relu")),
        # a time-to-first-spike network trains as values, which have no rate
        "regulariser.weight": _CLOCKED,
        "regulariser.rate": _CLOCKED,
        **dict.fromkeys(_TTFS_SLOTS, _TTFS),
    },
    slots={
        "input.saturation": Slot(1.0, low=0, high=100, about="gain xi before the tanh; 0: none"),
        "input.pooling": Slot(1, low=1, high=64, whole=True, about="frames averaged into one"),
        "encoder.depth": Slot(2, low=0, high=32, whole=True, about="temporal-shift blocks"),
        "encoder.width": Slot(128, low=1, high=4096, whole=True, about="channels of a block"),
        "encoder.expansion": Slot(2, low=0.25, high=8, about="hidden channels over the width"),
        "encoder.shift": Slot(
            0.125,
            low=0.0,
            high=0.5,
            repeat="encoder.depth",
            about="share of the channels shifted in each direction, per block",
        ),
        "encoder.direction": Slot("both", choices=("past", "both"), about="what a shift sees"),
        "encoder.residual": Slot(
            "none",
            choices=("none", "alpha"),
            about="add the shifted spikes, times a learned alpha",
        ),
        "normalization": Slot(
            "batch", choices=("batch", "lateral_inhibition"), about=_WITH_NORMALIZATION
        ),
        "neuron.type": Slot("plif", choices=("plif", "lif", "if", "ttfs", "relu"), about="neuron"),
        "neuron.tau": Slot(
            2.0, low=1.0001, high=1000, about="membrane time constant in steps; PLIF learns on"
        ),
        "neuron.threshold": Slot(1.0, low=0.01, high=100, about="firing threshold"),
        "neuron.steps_per_frame": Slot(1, low=1, high=16, whole=True, about="SNN steps a frame"),
        **_TTFS_SLOTS,
        "calibration.kind": Slot(
            "none", choices=("none", "static", "dynamic"), about="bias voltage of the last neurons"
        ),
        "prompt.length": Slot(8, low=1, high=64, whole=True, about="soft prompts"),
        "attention.kind": Slot(
            "ssla", choices=ATTENTION_KINDS, about="how prompts gather context; none: its mean"
        ),
        "attention.heads": Slot(4, low=1, high=64, whole=True, about="must divide the width"),
        "attention.sparsity": Slot(0.0, low=0.0, high=0.99, about="share of the context cut"),
        "attention.causal": Slot(False, choices=(False, True), about="look at the past alone"),
        "regulariser.weight": Slot(
            0.0, low=0, high=1e6, about="of the pull to a firing rate while training; 0: none"
        ),
        "regulariser.rate": Slot(
            0.1, low=0.0, high=1.0, about="firing rate that every layer is pulled to"
        ),
    },
)

TTFS_CONV = Family(
    name="ttfs_conv",
    builder="search_spaces.ttfs_conv:build",
    metrics=tuple(m for m in _HEAD_METRICS if m != "energy_with_encoder"),
    input="event frames",
    only_when=dict.fromkeys(_TTFS_SLOTS, _TTFS),
    slots={
        "input.fusion": Slot(
            "channels",
            choices=("channels", "frames"),
            about="frames of a clip as channels of one image, or each by itself, averaged",
        ),
        "input.normalization": Slot(
            "none", choices=("none", "batch"), about="of the frames; folds into the first layer"
        ),
        "encoder.depth": Slot(3, low=1, high=8, whole=True, about="blocks, each halves the sides"),
        "block.operation": Slot(
            "conv", choices=("conv", "double", "separable"), repeat="encoder.depth", about="layers"
        ),
        "block.kernel": Slot(
            3, choices=(1, 3, 5, 7), repeat="encoder.depth", about="side of the convolution"
        ),
        "block.channels": Slot(
            16, low=1, high=1024, whole=True, repeat="encoder.depth", about="output channels"
        ),
        "block.skip": Slot(
            "none",
            choices=("none", "add", "concat"),
            repeat="encoder.depth",
            about="how the input joins the output, delayed",
        ),
        "pool.kind": Slot(
            "max", choices=("max", "average"), about="first spike, or a layer of neurons"
        ),
        "readout.pool": Slot(
            "average", choices=("average", "none"), about="what the readout sees of the image"
        ),
        "neuron.type": Slot("ttfs", choices=("ttfs", "relu"), about="relu: the digital twin"),
        **_TTFS_SLOTS,
    },
)

MEAN_POOL = Family(
    name="mean_pool",
    builder="search_spaces.mean_pool:build",
    metrics=tuple(m for m in _HEAD_METRICS if m != "latency_steps"),
    slots={"hidden": Slot(0, low=0, high=8192, whole=True, about="ReLU units; 0: linear probe")},
)

FAMILIES: dict[str, Family] = {f.name: f for f in (PTS_SNN, TTFS_CONV, MEAN_POOL)}


def get_family(name: str | None) -> Family:
    """Look a family up by its word or ``package.module:attribute``.

    Raises:
        NasError: No such family; lists the nearest.
    """
    if name is None:
        raise NasError(
            "the space names no family, so nothing can be built from it",
            hint="add `family: pts_snn` to the space, or give --evaluator",
        )
    if name in FAMILIES:
        return FAMILIES[name]
    if ":" in name:
        family = load_attribute(name)
        if isinstance(family, Family):
            return family
        raise NasError(f"{name!r} is no search_spaces.families.Family")
    raise NasError(f"unknown family {name!r}", hint=nearest(name, FAMILIES))
