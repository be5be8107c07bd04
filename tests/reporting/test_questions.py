"""Which comparisons a study's methods allow."""

from __future__ import annotations

from metapt_explore.reporting.questions import questions_of

STUDY = {
    "clusterings": [
        {"name": "k", "algorithm": "kmeans"},
        {"name": "r", "algorithm": "random_groups"},
    ],
    "methods": [
        {"name": "PT", "kind": "pt"},
        {"name": "PT+", "kind": "pt", "extra_tuning": True},
        {"name": "random", "kind": "metapt", "clustering": "r"},
        {"name": "exact", "kind": "metapt", "clustering": "k", "order": "exact"},
        {"name": "MetaPT", "kind": "metapt", "clustering": "k"},
        {"name": "PPT", "kind": "ppt"},
    ],
}


def test_one_primary_and_controls_of_the_same_recipe_only() -> None:
    names = [method["name"] for method in STUDY["methods"]]
    found = questions_of(STUDY, names)
    assert [(q.method, q.baseline) for q in found if q.primary] == [("exact", "PPT")] and found[0].primary
    assert {(q.method, q.baseline) for q in found if not q.primary} == {
        ("MetaPT", "PPT"),
        ("MetaPT", "random"),  # `exact` has another recipe than the random control
        ("PPT", "PT"),
        ("PPT", "PT+"),
        ("exact", "PT"),
        ("exact", "PT+"),
        ("MetaPT", "PT"),
        ("MetaPT", "PT+"),
    }


def test_learned_rates_are_part_of_the_method_for_ppt_and_of_the_recipe_for_its_control() -> None:
    left_out = {"tuning": {"keep_rates": False}, "learner": "meta_sgd"}
    methods = [
        {"name": "PPT", "kind": "ppt"},
        {"name": "SGD without", "kind": "metapt", "clustering": "k", **left_out},
        {"name": "random with", "kind": "metapt", "clustering": "r", "learner": "meta_sgd"},
        {"name": "random without", "kind": "metapt", "clustering": "r", **left_out},
    ]
    found = questions_of({**STUDY, "methods": methods}, [method["name"] for method in methods])
    assert [(q.method, q.baseline) for q in found] == [("SGD without", "PPT"), ("SGD without", "random without")]
    assert found[0].text == "Does SGD without beat pooled pre-training?"


def test_what_is_not_finished_is_not_asked() -> None:
    assert [(q.method, q.baseline) for q in questions_of(STUDY, ["PT", "MetaPT"])] == [("MetaPT", "PT")]


def test_random_groups_of_the_same_sizes_are_the_control_and_tasks_of_several_clusterings_count() -> None:
    study = {
        "clusterings": [
            {"name": "k-4", "algorithm": "kmeans"},
            {"name": "k-8", "algorithm": "kmeans"},
            {"name": "r-4", "algorithm": "random_groups", "like": "k-4"},
            {"name": "r-8", "algorithm": "random_groups", "like": "k-8"},
        ],
        "methods": [
            {"name": name, "kind": "metapt", "clustering": clustering}
            for name, clustering in {
                "M-4": "k-4", "M-8": "k-8", "both": ["k-4", "k-8"],
                "R-4": "r-4", "R-8": "r-8", "random both": ["r-4", "r-8"],
            }.items()
        ],
    }  # fmt: skip
    found = questions_of(study, [method["name"] for method in study["methods"]])
    assert [(q.method, q.baseline) for q in found] == [("M-4", "R-4"), ("M-8", "R-8"), ("both", "random both")]


def test_every_further_pooled_recipe_is_compared_with_the_first() -> None:
    methods = [{"name": name, "kind": "ppt"} for name in ("PPT", "PPT soup", "PPT mixed")]
    found = questions_of({"clusterings": [], "methods": methods}, ["PPT", "PPT soup", "PPT mixed"])
    assert [(q.method, q.baseline, q.primary) for q in found] == [
        ("PPT soup", "PPT", True),  # without a MetaPT method the first question is the primary one
        ("PPT mixed", "PPT", False),
    ]
    # A MetaPT method that has no scores yet keeps its place.
    later = [*methods, {"name": "MetaPT", "kind": "metapt", "clustering": "k"}]
    study = {"clusterings": [{"name": "k", "algorithm": "kmeans"}], "methods": later}
    assert not any(question.primary for question in questions_of(study, ["PPT", "PPT soup", "PPT mixed"]))
    # Nor does another question step in while the first has no scores.
    study = {"clusterings": [], "methods": methods}
    assert [q.primary for q in questions_of(study, ["PPT", "PPT mixed"])] == [False]


def test_methods_that_are_read_alike_are_compared_with_one_another() -> None:
    probe = {"read": "probe_ensemble"}
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "PT labels", "kind": "pt", "init": "labels"},
        {"name": "PT probe", "kind": "pt", "verbalizer": probe},
        {"name": "PPT", "kind": "ppt"},
        {"name": "PPT probe", "kind": "ppt", "verbalizer": probe},
        {"name": "MetaPT probe", "kind": "metapt", "clustering": "k", "verbalizer": probe},
    ]
    study = {"clusterings": [{"name": "k", "algorithm": "kmeans"}], "methods": methods}
    found = questions_of(study, [str(method["name"]) for method in methods])
    assert [(q.method, q.baseline) for q in found] == [
        ("MetaPT probe", "PPT"),
        ("MetaPT probe", "PPT probe"),
        ("PPT probe", "PPT"),
        ("PT probe", "PT"),
        ("PPT", "PT"),
        ("PPT probe", "PT probe"),
        ("MetaPT probe", "PT probe"),
    ]
    assert "with its own reading" in found[0].text and "with the same reading" in found[1].text
    found = questions_of(study, ["PT", "PT probe", "MetaPT probe"])
    assert found[-1].text == "Does MetaPT probe beat no pre-training with the same reading?"
