"""What a newcomer meets in the first hour: their machine, their habits, their accidents; each situation is tried."""
