"""The parts of one optimizer step, as functions of the network and the trainer.

What trains and at which learning rate, seeds of dropout, checks for finite numbers, sharding.
"""
