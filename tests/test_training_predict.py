import numpy as np
import pytest
import torch
from conftest import tiny_network

from mrnetlib.training import predict


def test_predictions_have_the_columns_that_others_read(planted):
    network = tiny_network()
    table = predict.predict_all(network, planted, "meniscus")
    assert table.columns.tolist() == ["exam", "split", "label", "probability"]
    assert table["split"].drop_duplicates().tolist() == ["train", "tune", "test"]
    assert len(table) == 50
    assert table["exam"].is_unique
    assert table["probability"].between(0, 1).all()
    row = table[table["split"] == "tune"].iloc[3]
    bank = planted["tune"]
    slices = bank.exam(3).unsqueeze(1)
    wanted = network.eval()(slices, [len(slices)]).sigmoid().item()
    assert row["exam"] == bank.exams[3]
    assert row["label"] == bank.labels["meniscus"].iloc[3]
    assert row["probability"] == pytest.approx(wanted, abs=1e-6)


def test_exam_features_are_the_maximum_over_the_slices(planted):
    network = tiny_network().eval()
    features = predict.exam_features(network, planted["tune"])
    assert features.shape == (10, 8)
    slices = planted["tune"].exam(3).unsqueeze(1)
    with torch.no_grad():
        wanted = network.features(slices).amax(0).numpy()
    np.testing.assert_allclose(features[3], wanted, rtol=1e-6)
