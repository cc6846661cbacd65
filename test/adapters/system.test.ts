import { systemClock, systemRandomness } from '../../adapters/system.ts';
import { clockContract } from '../contracts/clock.ts';
import { randomnessContract } from '../contracts/randomness.ts';

clockContract('the system clock', systemClock, () => Date.now());
randomnessContract('the system', systemRandomness);
