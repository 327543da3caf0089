"""Forward-RL agents that the methods stand on: soft Q-learning (discrete), SAC (continuous), PPO (both)."""
