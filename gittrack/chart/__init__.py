"""Curves, bars and sparks made of text; pure, over sequences of numbers and labels that are safe already."""
