# Look-alike, written for these tests, of the pristine shape: single quotes, no process log,
# one `with` at line 80.
import os
import subprocess
from contextlib import contextmanager

from common import ModelArts
from common import RunAscendLog


class FMK:
    log = RunAscendLog.get_run_ascend_logger()

    def __init__(self, index, device):
        self.job_id = ModelArts.get_job_id()
        self.rank_id = device.rank_id
        self.device_id = str(index)
        self.device_ip = device.device_ip
        self.command = None

    def gen_env_for_fmk(self, rank_size):
        current_envs = os.environ.copy()

        current_envs['JOB_ID'] = self.job_id
        current_envs['RANK_ID'] = self.rank_id
        current_envs['RANK_SIZE'] = str(rank_size)

        FMK.set_env_if_not_exist(current_envs, 'DEVICE_ID', self.device_id)
        FMK.set_env_if_not_exist(current_envs, 'ASCEND_DEVICE_ID', self.device_id)
        FMK.set_env_if_not_exist(current_envs, 'HCCL_CONNECT_TIMEOUT', str(1800))

        # The environment of one rank, for one process.
        return current_envs

    @contextmanager
    def switch_directory(self, directory):
        owd = os.getcwd()
        try:
            os.chdir(directory)
            yield directory
        finally:
            os.chdir(owd)

    def get_working_dir(self):
        parent = ModelArts.get_parent_working_dir()
        return os.path.join(os.path.normpath(parent), 'device%s' % self.device_id)

    @staticmethod
    def get_log_dir():
        parent = ModelArts.get_parent_log_dir()
        if os.path.exists(parent):
            return parent
        return ModelArts.TMP_LOG_DIR

    @staticmethod
    def set_env_if_not_exist(envs, env_name, env_value):
        if env_name in os.environ:
            FMK.log.info('env already exists. env_name: %s' % env_name)
            return

        envs[env_name] = env_value

    def get_log_name(self):
        return '%s-proc-rank-%s-device-%s.txt' % (self.job_id, self.rank_id, self.device_id)

    def get_log_file(self):
        return os.path.join(FMK.get_log_dir(), self.get_log_name())

    def prepare(self):
        for folder in (self.get_working_dir(), FMK.get_log_dir()):
            os.makedirs(folder, exist_ok=True)

    def run(self, rank_size, command):
        envs = self.gen_env_for_fmk(rank_size)
        log_file = self.get_log_file()
        FMK.log.info('rank %s writes to %s' % (self.rank_id, log_file))

        self.prepare()

        with self.switch_directory(self.get_working_dir()):
            # os.setsid makes a process group of its own, so that all of it can be stopped.
            training_proc = subprocess.Popen(command, env=envs, preexec_fn=os.setsid,
                                             shell=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            subprocess.Popen(['tee', log_file], stdin=training_proc.stdout)

            FMK.log.info('bootstrap proc-rank-%s-device-%s' % (self.rank_id, self.device_id))
            return training_proc
