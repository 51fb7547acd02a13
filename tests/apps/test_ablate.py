"""`nerface ablate` as users call it."""

from __future__ import annotations

from tests.apps.calls import check_refused, nerface

TOY = [
    *("--preset", "tiny", "--device", "cpu", "--set", "training.steps=2", "--set", "training.rays=32"),
    *("--set", "avatar.fine.planes=null", "--set", "avatar.sampling.coarse=4", "--set", "avatar.sampling.fine=4"),
]


def test_a_table_from_the_command_line(toy, tmp_path):
    words = ["ablate", toy / "person", "-o", tmp_path / "out", "--switches", "full, no_latent", *TOY]
    answer = nerface(*words)
    assert answer.status == 0, answer.err
    assert "| no_latent | 2 |" in answer.out
    assert "2 of 2: no_latent (the fields see zeros for the latent code)" in answer.err
    assert (tmp_path / "out" / "comparison.png").is_file()
    again = nerface(*words, "--resume")
    assert again.status == 0, again.err
    assert again.out == answer.out
    check_refused(nerface(*words), "already holds something")


def test_switches_that_do_not_exist(toy, tmp_path):
    answer = nerface("ablate", toy / "person", "-o", tmp_path / "out", "--switches", "ful", *TOY)
    check_refused(answer, "no switch 'ful', did you mean 'full'?")
    answer = nerface("train", toy / "person", "-o", tmp_path / "run", "--switch", "no_latents")
    check_refused(answer, "did you mean 'no_latent'?")
