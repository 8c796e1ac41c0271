"""What a machine was doing when its run ended badly."""
