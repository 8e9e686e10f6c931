"""Trains a small classifier, epoch by epoch, and records it: the kind of script that you have already.

With scikit-learn: a neural network on its handwritten digits. Without: softmax regression on the irises in iris.csv."""

import argparse
import csv
import math
import random
from pathlib import Path

import gittrack as gt

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--hidden", type=int, default=32)
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()


def digits():
    """Yields (loss, train accuracy, validation accuracy) after each epoch."""
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    warnings.filterwarnings("ignore")
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.25, random_state=args.seed, stratify=labels)
    train_x, val_x, train_y, val_y = parts
    model = MLPClassifier((args.hidden,), learning_rate_init=args.lr, random_state=args.seed, batch_size=64)
    for _ in range(args.epochs):
        model.partial_fit(train_x, train_y, classes=range(10))
        yield model.loss_, model.score(train_x, train_y), model.score(val_x, val_y)


def irises():
    """Yields the same for softmax regression, trained by stochastic gradient descent."""
    with Path(__file__).with_name("iris.csv").open(newline="", encoding="utf-8") as file:
        rows = [([float(cell) for cell in row[:4]], int(row[4])) for row in list(csv.reader(file))[1:]]
    rng = random.Random(args.seed)
    rng.shuffle(rows)
    train, val = rows[:110], rows[110:]
    weights = [[0.0] * 5 for _ in range(3)]

    def probabilities(x):
        scores = [sum(w * v for w, v in zip(row, [*x, 1.0], strict=True)) for row in weights]
        top = max(scores)
        exps = [math.exp(score - top) for score in scores]
        return [value / sum(exps) for value in exps]

    def accuracy(part):
        return sum(max(range(3), key=probabilities(x).__getitem__) == y for x, y in part) / len(part)

    for _ in range(args.epochs):
        rng.shuffle(train)
        loss = 0.0
        for x, y in train:
            p = probabilities(x)
            loss -= math.log(max(p[y], 1e-12)) / len(train)
            for label in range(3):
                error = p[label] - (label == y)
                weights[label] = [w - args.lr * error * v for w, v in zip(weights[label], [*x, 1.0], strict=True)]
        yield loss, accuracy(train), accuracy(val)


def epochs():
    """Returns the training loop that can run here."""
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return irises()
    return digits()


run = gt.init(params=args, tags=["demo"])
run.define_metric("val/acc", goal="max")
for epoch, (loss, train_acc, val_acc) in enumerate(epochs()):
    gt.log({"loss": loss, "train/acc": train_acc, "val/acc": val_acc}, step=epoch)
    print(f"epoch {epoch:2d}  loss {loss:.4f}  val/acc {val_acc:.4f}", flush=True)
run.finish()
