"""PowerSGD against its own words: what is said, what is left to say, and who hears it."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from schemas.settings import DvaeSettings
from stages.models.prior import Prior
from stages.training.powersgd import PowerSGD, matrices, sketch
from tests.stages import test_train_prior
from tests.stages.training.toy import ALONE, Wide, settings
from tests.stages.training.workers import bytes_sent, each, gradients_differ, learn, same, saved

ROWS, COLUMNS, RANK, STEPS = 12, 20, 3, 40


def model_of(rows=ROWS, columns=COLUMNS):
    """A matrix and a bias inside a block, and a head outside."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(columns, rows), nn.Linear(rows, 2))


def power_of(model, context=None, rank=RANK):
    return PowerSGD(model, [model[0]], settings(powersgd_rank=rank).fit, context or ALONE)


def gradients(step, rank):
    """What a copy finds at a step, unlike any other."""
    weights = list(model_of().parameters())
    torch.manual_seed(1000 * step + rank)
    return [torch.randn_like(weight) for weight in weights]


def mean_of(step):
    """What two copies find, taken together."""
    return [(a + b) / 2 for a, b in zip(gradients(step, 0), gradients(step, 1), strict=True)]


def give(model, found):
    for weight, gradient in zip(model.parameters(), found, strict=True):
        weight.grad = gradient.clone()


def test_what_is_said_is_the_formula_written_out():
    model = model_of()
    power = power_of(model)
    (matrix, bias, *head) = gradients(0, 0)
    give(model, (matrix, bias, *head))
    power.exchange()
    (random,) = power.sketches["0.weight"]
    p = matrix @ random
    nudge = 1e-6 * p.square().mean().sqrt()
    p = torch.linalg.qr(p + nudge * torch.eye(ROWS, RANK)).Q
    said = p @ (matrix.T @ p).T
    torch.testing.assert_close(model[0].weight.grad, said)
    torch.testing.assert_close(power.errors["0.weight"], matrix - said)
    assert torch.linalg.matrix_rank(model[0].weight.grad) == RANK
    assert torch.equal(model[0].bias.grad, bias)
    assert torch.equal(model[1].weight.grad, head[0])


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**20])
def test_as_much_is_said_of_small_gradients_as_of_large_ones(scale):
    said = []
    for factor in (1.0, scale):
        model = model_of()
        give(model, [factor * gradient for gradient in gradients(0, 0)])
        power_of(model).exchange()
        said.append(model[0].weight.grad / factor)
    torch.testing.assert_close(said[1], said[0])


def test_of_no_gradient_nothing_is_said():
    model = model_of()
    give(model, [torch.zeros_like(weight) for weight in model.parameters()])
    power_of(model).exchange()
    assert all((weight.grad == 0).all() for weight in model.parameters())


def test_a_standing_matrix_is_laid_down_first():
    lying, standing = model_of(), model_of(COLUMNS, ROWS)
    powers = power_of(lying), power_of(standing)
    matrix = gradients(0, 0)[0]
    lying[0].weight.grad, standing[0].weight.grad = matrix.clone(), matrix.T.clone()
    for power in powers:
        power.exchange()
    assert torch.equal(standing[0].weight.grad, lying[0].weight.grad.T)


def test_nothing_is_lost_what_was_said_and_what_is_left_add_up_to_the_truth():
    model = model_of()
    power = power_of(model)
    truth, said = torch.zeros(ROWS, COLUMNS), torch.zeros(ROWS, COLUMNS)
    for step in range(STEPS):
        found = gradients(step, 0)
        give(model, found)
        power.exchange()
        truth, said = truth + found[0], said + model[0].weight.grad
    left = power.errors["0.weight"]
    torch.testing.assert_close(said + left, truth, rtol=1e-4, atol=1e-4)
    assert left.norm() < truth.norm() / 2  # and most of it does get said


def test_random_numbers_stay_and_are_the_same_for_everyone_but_each_matrix_has_its_own():
    one, other = (sketch(torch.empty(5, 9), 3, 7, name) for name in ("a", "b"))
    assert one.shape == (9, 3)
    assert torch.equal(one, sketch(torch.empty(5, 9), 3, 7, "a"))
    assert not torch.equal(one, other)
    assert sketch(torch.empty(2, 9), 3, 7, "a").shape == (9, 2)  # no more than there are rows


def test_a_matrix_whose_factors_would_not_be_smaller_is_sent_whole():
    model = model_of()  # 12 x 20 = 240 numbers; 7 x (12 + 20) = 224, 8 x 32 = 256
    assert power_of(model, rank=7).errors.keys() == {"0.weight"}
    assert power_of(model, rank=8).errors == {}


def test_only_matrices_inside_blocks_are_compressed():
    cfg = test_train_prior.settings()
    model = Prior(cfg.tokens, cfg)
    power = PowerSGD(model, model.blocks, settings(powersgd_rank=2).fit, ALONE)
    names = {"attention.qkv", "attention.out", "mlp.up", "mlp.out"}
    assert power.errors.keys() == {f"blocks.{n}.{name}.weight" for n in (0, 1) for name in names}
    assert len(power.whole) + len(power.errors) == len(list(model.parameters()))


def test_a_gradient_that_is_not_finite_leaves_the_errors_as_they_were():
    model = model_of()
    power = power_of(model)
    give(model, gradients(0, 0))
    power.exchange()
    before = power.errors["0.weight"].clone()
    for place in range(4):
        found = gradients(1, 0)
        found[place].view(-1)[0] = torch.inf
        give(model, found)
        power.exchange()
        assert all(weight.grad.isnan().all() for weight in model.parameters())
        assert torch.equal(power.errors["0.weight"], before)


@pytest.mark.parametrize(("width", "rank"), [(1920, 512), (2688, 640), (3968, 896)])
def test_the_share_of_bytes_saved_is_the_papers(width, rank):
    """Table 1: 1 - 5r/8d, where eight workers hold one copy, each with an eighth of the rank."""
    d, part = width, width // 8
    shapes = {(3 * d, d): (3 * part, d), (d, d): (part, d), (4 * d, d): (4 * part, d),
              (d, 4 * d): (d, 4 * part)}  # fmt: skip
    factors = whole = 0
    for shape, share in shapes.items():
        weight = torch.empty(shape, device="meta")
        for matrix in matrices(torch.empty(share, device="meta"), weight):
            factors += rank // 8 * sum(matrix.shape)
        whole += share[0] * share[1]
    assert 1 - factors / whole == pytest.approx(1 - 5 * rank / (8 * d))


def exchanges(context, path):
    """Exchange gradients with the other process, some of them spoilt; keep all that comes of it."""
    sent = []
    send = dist.all_reduce

    def counted(tensor, **options):
        sent.append(tensor.numel() * tensor.element_size())
        return send(tensor, **options)

    dist.all_reduce = counted
    model = model_of()
    power, full = power_of(model, context), power_of(model, context)
    found = {"said": [], "truth": 0, "bytes": bytes_sent(power)}
    for step in range(STEPS):
        give(model, gradients(step, context.rank))
        if step == 5 and context.rank == 1:
            model[1].bias.grad[0] = torch.nan
        sent.clear()
        power.exchange()
        found["said"].append([weight.grad.clone() for weight in model.parameters()])
    found["sent"] = sum(sent)
    found["left"] = power.errors["0.weight"].clone()
    power.average_errors()
    found["settled"] = power.errors["0.weight"]

    full.sketches = {"0.weight": [sketch(torch.empty(ROWS, COLUMNS), ROWS, 0, "wide")]}
    give(model, gradients(0, context.rank))
    full.exchange()
    found["full"] = [weight.grad for weight in model.parameters()]
    torch.save(found, path / f"{context.rank}.pt")


def prior_job(root, name, **changes):
    """Two captions at a time: 32 slots, so gradients of rank 32 at most, of 128."""
    cfg = test_train_prior.settings(
        learning_rate=1e-4, learning_rate_end=1e-4, batch_size=2, **changes
    )
    cfg = cfg.model_copy(update={"head_dim": 64})
    (root / "prior").mkdir(exist_ok=True)
    return cfg, test_train_prior.task_of(root / "prior", cfg), root / f"prior, {name}"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All that needs two processes, by the same two."""
    root = tmp_path_factory.mktemp("runs")
    each(2, exchanges, root)
    all_of_it, some = settings(powersgd_rank=8), settings(powersgd_rank=2)
    wide = {"cfg": settings(), "noise": 0.0}
    learn(1, (some, Wide(**wide), root / "one"))
    learn(
        2,
        (settings(), Wide(**wide), root / "plain"),
        (all_of_it, Wide(**wide), root / "all"),
        (settings(powersgd_rank=8, micro_batch_size=1), Wide(**wide), root / "all, row by row"),
        (some, Wide(**wide), root / "two"),
        (settings(), Wide(**wide, keep=(1, 3)), root / "plain, uneven"),
        (all_of_it, Wide(**wide, keep=(1, 3)), root / "all, uneven"),
        (some, Wide(**wide, stop_at=6), root / "two, stopped"),
        (some, Wide(**wide), root / "two, stopped"),
        (some, Wide(**wide, stop_at=6), root / "two, one, two"),
        prior_job(root, "plain"),
        prior_job(root, "all", powersgd_rank=32),
    )
    learn(1, (some, Wide(**wide, stop_at=10), root / "two, one, two"))
    learn(2, (some, Wide(**wide), root / "two, one, two"))
    return root


@pytest.fixture(scope="module")
def found(root):
    return [torch.load(root / f"{rank}.pt") for rank in (0, 1)]


def test_all_copies_hear_the_same_bits(found):
    torch.testing.assert_close(found[0]["said"], found[1]["said"], rtol=0, atol=0, equal_nan=True)


def test_what_copies_say_and_what_they_have_left_add_up_to_the_mean_of_their_gradients(found):
    steps = [step for step in range(STEPS) if step != 5]
    truth = sum(mean_of(step)[0] for step in steps)
    said = sum(found[0]["said"][step][0] for step in steps)
    left = (found[0]["left"] + found[1]["left"]) / 2
    torch.testing.assert_close(said + left, truth, rtol=1e-4, atol=1e-4)
    for rank in (0, 1):
        torch.testing.assert_close(found[rank]["settled"], left)


def test_copies_skip_together(found):
    for rank in (0, 1):
        assert all(gradient.isnan().all() for gradient in found[rank]["said"][5])
        assert all(gradient.isfinite().all() for gradient in found[rank]["said"][6])


def test_what_is_not_compressed_is_the_mean(found):
    for step in (0, 39):
        torch.testing.assert_close(found[0]["said"][step][1:], mean_of(step)[1:])


def test_full_rank_is_the_mean(found):
    torch.testing.assert_close(found[0]["full"], mean_of(0), rtol=1e-5, atol=1e-5)


def test_the_bytes_that_are_counted_are_sent(found):
    numbers = RANK * (ROWS + COLUMNS) + ROWS + 2 * ROWS + 2
    assert found[0]["bytes"] == 4 * numbers
    assert found[0]["sent"] == 4 * numbers + 8  # and whether all is finite


@pytest.mark.parametrize("run", ["all", "all, row by row"])
def test_a_rank_as_high_as_the_gradients_learns_what_copies_learn(root, run):
    assert saved(root / run)["errors"].keys() == {
        f"{n}.{name}.weight" for n in (1, 2) for name in ("inside", "out")
    }
    same(saved(root / run), saved(root / "plain"), rtol=1e-4, atol=1e-5)


def test_rows_weigh_the_same_however_uneven_the_copies(root):
    same(saved(root / "all, uneven"), saved(root / "plain, uneven"), rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):
        same(saved(root / "all, uneven"), saved(root / "plain"), rtol=1e-4, atol=1e-5)


def test_a_low_rank_learns_something_else_but_the_same_with_one_copy_as_with_two(root):
    same(saved(root / "two"), saved(root / "one"), rtol=1e-3, atol=1e-5)
    with pytest.raises(AssertionError):
        same(saved(root / "two"), saved(root / "plain"), rtol=1e-3, atol=1e-5)


def test_a_stopped_run_goes_on_to_the_same_bits(root):
    found, wanted = saved(root / "two, stopped"), saved(root / "two")
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_run_goes_on_with_another_number_of_copies(root):
    found, wanted = saved(root / "two, one, two"), saved(root / "two")
    same(found, wanted, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found["errors"], wanted["errors"], rtol=1e-3, atol=1e-5)
    assert all(error.norm() > 0 for error in wanted["errors"].values())


def test_a_prior_learns_the_same_if_the_rank_is_high_enough(root):
    compressed, plain = saved(root / "prior, all"), saved(root / "prior, plain")
    assert len(compressed["errors"]) == 8
    assert gradients_differ(compressed, plain) < 1e-3


def test_the_workers_that_share_a_copy_count_only_where_gradients_are_compressed():
    whole = settings(shard=True, workers=4, shard_size=2)
    assert whole.digest == settings().digest
    low = [settings(shard=True, workers=4, shard_size=m, powersgd_rank=4).digest for m in (2, 4)]
    assert low[0] != low[1]


def test_the_dvae_has_no_matrices_to_compress():
    fit = DvaeSettings().fit.model_dump() | {"powersgd_rank": 8}
    with pytest.raises(ValueError, match="the dVAE's weights are convolutions; leave it null"):
        DvaeSettings(fit=fit)
