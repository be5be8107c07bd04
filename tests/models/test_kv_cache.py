"""Keys and values of texts come back bit for bit from every tier of the cache."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from plain_reference import LABELS, assert_near, make_case, texts_of

from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch
from metapt_explore.models.kv_cache import banks as banks_module
from metapt_explore.models.kv_cache.text import CHUNK_ROWS, KVBank, TextKV
from metapt_explore.verbalizers.pattern import PatternVerbalizer

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")

BackboneOf = Callable[..., CausalBackbone]

#: Three chunks: rows 0 … 31, rows 32 … 63, and the six longest.
TEXTS = texts_of([1] * CHUNK_ROWS + [5] * CHUNK_ROWS + [9] * 6)
#: So little memory that it holds only the chunk that was used last.
ONE_CHUNK_GIB = 1e-9


@pytest.fixture(autouse=True)
def states_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cached texts are written below the test's own folder."""
    monkeypatch.setenv("METAPT_HOME", str(tmp_path))
    return tmp_path / "states"


def bank_of(backbone: CausalBackbone) -> tuple[KVBank, PatternVerbalizer]:
    pattern = backbone.pattern(LABELS, "test")
    bank = backbone.bank(TEXTS, pattern)
    assert isinstance(bank, KVBank) and len(bank) == 70
    return bank, pattern


def counts_of(bank: KVBank) -> tuple[int, int, int, int]:
    counts = bank.counts
    return counts.memory, counts.second, counts.missed, counts.encoded


def assert_same_bits(a: TextKV, b: TextKV) -> None:
    assert torch.equal(a.lengths, b.lengths)
    # The room in front of the texts is not initialised.
    for ours, theirs in ((a.keys, b.keys), (a.values, b.values)):
        assert torch.equal(ours[..., a.spare :, :], theirs[..., b.spare :, :])


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("states-*/*.safetensors"))


# ----------------------------------------------------------------------------------------- in memory


def test_states_do_not_depend_on_the_order_of_requests(backbone_of: BackboneOf) -> None:
    """A resumed run asks for rows in another order and must get the same bits."""
    (first, _), (fresh, _) = (bank_of(backbone_of("llama")) for _ in range(2))
    fresh.batch([69, 3])
    assert_same_bits(first.batch([3, 40, 7, 69]), fresh.batch([3, 40, 7, 69]))


def test_the_same_texts_share_a_bank(backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods scored on the same rows share states; beyond some banks the oldest is forgotten, with its states."""
    monkeypatch.setattr(banks_module, "BANKS", 2)
    backbone = backbone_of("llama")
    first, pattern = bank_of(backbone)
    first.batch([0])
    assert backbone.bank([*TEXTS], pattern) is first
    for word in ("good", "bad"):
        backbone.bank([word], pattern)
    again, _ = bank_of(backbone)
    assert again is not first
    again.batch([0])
    assert counts_of(again) == (0, 0, 1, CHUNK_ROWS), "no bank finds what another one of the same texts left"


def test_a_batch_is_padded_and_leaves_room(backbone_of: BackboneOf) -> None:
    """Rows in the order asked for, twice where asked twice; padding behind, room for new tokens in front."""
    bank, _ = bank_of(backbone_of("llama"))
    batch, alone = bank.batch([65, 2, 65], spare=4), bank.batch([2])
    assert batch.lengths.tolist() == [10, 2, 10] and batch.keys.shape[3] == 14 and alone.keys.shape[3] == 2
    assert torch.equal(batch.keys[:, 0, :, 4:], batch.keys[:, 2, :, 4:])
    assert torch.equal(batch.keys[:, 1, :, 4:6], alone.keys[:, 0])
    assert not batch.keys[:, 1, :, 6:].any() and not batch.values[:, 1, :, 6:].any()
    assert (batch.text_mask() == 0).sum(1).tolist() == [10, 2, 10]
    assert batch.text_mask()[1, 2:].eq(torch.finfo(torch.float32).min).all()


def test_a_batch_that_is_asked_for_again_is_the_same(backbone_of: BackboneOf) -> None:
    """The latest batches are remembered; other orders, other room and older batches are gathered anew."""
    bank, _ = bank_of(backbone_of("llama"))
    other, _ = bank_of(backbone_of("llama"))
    first = bank.batch([0, 40, 69], spare=3)
    assert bank.batch([0, 40, 69], spare=3) is first
    assert counts_of(bank) == (3, 0, 3, 70)
    for rows, spare in (([69, 0, 40], 3), ([0, 40, 69], 2), ([0, 40], 3), ([0, 40, 69], 3), ([69, 0, 40], 3)):
        again = bank.batch(rows, spare)
        assert again.spare == spare and again.keys.shape[3] == spare + max(again.lengths)
        assert_same_bits(again, other.batch(rows))


# ------------------------------------------------------------------------------------------- on disk


def test_states_from_disk_are_the_same_bits(backbone_of: BackboneOf, states_folder: Path) -> None:
    """With memory for one chunk the others go to disk and come back; every row is counted where it was found."""
    expected, _ = bank_of(backbone_of("llama"))
    backbone = backbone_of("llama", text_state_gib=ONE_CHUNK_GIB, second_tier_gib=1.0)
    bank, _ = bank_of(backbone)
    assert bank.cached and bank.counts.hit_rate is None
    for rows, counts in (
        ([0, 40], (0, 0, 2, 64)),  # two chunks are encoded; the first moves to disk
        ([1, 2], (0, 2, 2, 64)),  # it comes back, the second one goes
        ([3], (1, 2, 2, 64)),
        ([64, 33, 0], (2, 3, 3, 70)),
    ):
        assert_same_bits(bank.batch(rows), expected.batch(rows))
        assert counts_of(bank) == counts
    assert bank.counts.hit_rate == 5 / 8
    assert len(files_in(states_folder)) == 2
    assert not files_in(states_folder.parent) and expected.counts.second == 0
    assert_same_bits(bank.batch(range(70)), expected.batch(range(70)))
    assert bank.counts.encoded == 70, "nothing was encoded twice"


def test_gradients_are_equal_with_states_from_disk(backbone_of: BackboneOf) -> None:
    """Bits again: a study must not depend on how much memory a machine has."""
    found = []
    for memory in (1.0, ONE_CHUNK_GIB):
        case = make_case(backbone_of("llama", text_state_gib=memory, second_tier_gib=1.0), [1], groups=2, rows=8)
        case.texts = TEXTS
        case.batch = Batch([0, 69, 40, 1, 68, 41, 2, 67], case.batch.groups, case.batch.labels)
        objective = case.objective()
        objective.losses_and_gradients(case.prompts, case.batch)
        found.append(objective.losses_and_gradients(case.prompts, Batch([5, 66, 50], [0, 1, 1], [0, 1, 0])))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_files_are_removed_with_the_cache(backbone_of: BackboneOf, states_folder: Path) -> None:
    backbone = backbone_of("llama", text_state_gib=ONE_CHUNK_GIB, second_tier_gib=1.0)
    bank, _ = bank_of(backbone)
    bank.batch(range(70))
    assert len(files_in(states_folder)) == 2
    del backbone, bank
    gc.collect()
    assert list(states_folder.iterdir()) == []


def fail_to_save(error: BaseException) -> Callable[..., None]:
    def save_file(*args: object) -> None:
        raise error

    return save_file


@pytest.mark.parametrize("sign", ["no room", "write fails", "write fails in safetensors", "no folder"])
def test_a_full_disk_only_ends_the_keeping(
    sign: str, backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch, states_folder: Path
) -> None:
    """Texts that could not be kept are encoded again, to the same bits."""
    if sign == "no room":
        usage = shutil.disk_usage(states_folder.parent)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    elif sign == "no folder":
        states_folder.write_text("a file is in the way", encoding="utf-8")
    else:
        error: Exception = OSError(28, "No space left on device")
        if sign.endswith("safetensors"):
            error = safetensors.SafetensorError("I/O error: No space left on device (os error 28)")
        monkeypatch.setattr(safetensors.torch, "save_file", fail_to_save(error))
    expected, _ = bank_of(backbone_of("llama"))
    bank, _ = bank_of(backbone_of("llama", text_state_gib=ONE_CHUNK_GIB, second_tier_gib=1.0))
    for rows in ([0, 40], [1, 2], [33]):
        assert_same_bits(bank.batch(rows), expected.batch(rows))
    assert counts_of(bank) == (0, 0, 5, 4 * CHUNK_ROWS) and not files_in(states_folder)


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_files_that_are_lost_are_encoded_again(damage: str, backbone_of: BackboneOf, states_folder: Path) -> None:
    """Another machine with the same home does not know our process and may take its files for leftovers."""
    expected, _ = bank_of(backbone_of("llama"))
    bank, _ = bank_of(backbone_of("llama", text_state_gib=ONE_CHUNK_GIB, second_tier_gib=1.0))
    bank.batch([0, 40, 64])
    assert len(files_in(states_folder)) == 2
    file = files_in(states_folder)[0]
    if damage == "removed":
        file.unlink()
    else:
        with file.open("r+b") as stream:
            stream.truncate(200)
    assert_same_bits(bank.batch([1]), expected.batch([1]))
    assert counts_of(bank) == (0, 0, 4, 70 + CHUNK_ROWS)
    for rows in ([41], [2], [65], [42]):
        assert_same_bits(bank.batch(rows), expected.batch(rows))
    assert counts_of(bank) == (0, 4, 4, 70 + CHUNK_ROWS), "what was encoded again is kept again"


# ------------------------------------------------------------------------------------------ no cache


def test_without_a_cache_an_episode_is_encoded_once(backbone_of: BackboneOf, states_folder: Path) -> None:
    """`prepare` names the rows of an episode; batches among them encode nothing more."""
    cached, pattern = bank_of(backbone_of("llama"))
    backbone = backbone_of("llama", text_state_gib=0.0, second_tier_gib=0.0)
    bank, _ = bank_of(backbone)
    assert cached.cached and not bank.cached
    episode = [3, 69, 40, 3, 10]
    bank.prepare(episode)
    assert bank.counts.encoded == 4, "a row that is named twice is encoded once"
    prompts = backbone.embedding[10:13].clone()[None]
    for rows in ([69, 3], [40], [10, 3, 3], [3, 69, 40, 3, 10]):
        states = [a_bank.batch(rows, spare=backbone.new_tokens(pattern, 3)) for a_bank in (bank, cached)]
        groups = torch.zeros(len(rows), dtype=torch.long)
        ours, theirs = (backbone.class_scores(prompts, groups, state, pattern=pattern) for state in states)
        assert_near(ours, theirs)
    bank.prepare([40, 10])
    assert bank.counts.encoded == 4, "rows of the episode are not encoded again"
    bank.batch([50, 3])
    assert bank.counts.encoded == 6, "other rows are another episode"
    assert not states_folder.exists()


def test_without_a_cache_passes_of_an_episode_share_its_states(backbone_of: BackboneOf) -> None:
    """Cutting a batch into passes does not encode a row twice."""
    backbone = backbone_of("llama", text_state_gib=0.0, second_tier_gib=0.0, rows_per_pass=2)
    case = make_case(backbone, [5, 1, 12, 3], groups=2, rows=10)
    objective = case.objective()
    objective.bank.prepare(case.batch.rows)
    objective.losses_and_gradients(case.prompts, case.batch)
    assert objective.passes == 5 and objective.bank.counts.encoded == len(set(case.batch.rows))


def test_states_that_no_tier_could_hold_are_not_kept(backbone_of: BackboneOf, states_folder: Path) -> None:
    """A bank is kept as a whole or not at all: half of it would only push itself out."""
    needed = bank_of(backbone_of("llama"))[0].needed_bytes
    for share, cached in ((1.0, True), (0.9, False)):
        half = share * needed / 2**30 / 2
        bank, _ = bank_of(backbone_of("llama", text_state_gib=half, second_tier_gib=half))
        assert bank.cached == cached
    assert needed == sum([2] * 32 + [6] * 32 + [10] * 6) * 2 * 2 * 2 * 8 * 4, "layers, keys and values, heads, fp32"
